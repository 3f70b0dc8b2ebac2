from excise.daemon.clock import EngineTime


def test_there_is_no_time_before_the_first_record(clock):
    time = EngineTime(clock)
    clock.advance(100)

    assert time.now() == 0.0


def test_engine_time_goes_on_from_the_last_record(clock):
    time = EngineTime(clock)
    time.saw(500.0)
    clock.advance(7.5)

    assert time.now() == 507.5


def test_a_step_that_did_not_move_the_clock_changes_nothing(clock):
    time = EngineTime(clock)
    time.saw(500.0)
    clock.advance(5)
    time.saw(500.0)
    clock.advance(5)

    assert time.now() == 510.0


def test_the_time_of_being_down_counts(clock):
    time = EngineTime(clock)
    time.resume(500.0, wall=clock.wall() - 60.0)
    clock.advance(1)

    assert time.now() == 561.0


def test_a_wall_clock_set_back_while_down_does_not_turn_time_back(clock):
    time = EngineTime(clock)
    time.resume(500.0, wall=clock.wall() + 60.0)

    assert time.now() == 500.0
