import pytest

from excise.daemon.roll import Roll
from excise.decide.span import parse_span
from excise.model.decision import Action, DecisionEvent, Op, Plane


@pytest.fixture
def place(decision):
    """Make an event on a target."""

    def make(target, op=Op.ADD, **changes):
        return DecisionEvent(1.0, op, decision(target=target, id=target, **changes))

    return make


NOW = 1_000.0


def targets(census):
    return sorted(decision.target for decision in census.everything().values())


def region(census):
    return sorted(str(span) for span in census.region)


def reached(census):
    return sorted(decision.target for _span, decision in census.reached)


def test_only_what_is_enforced_on_the_network_is_on_the_roll(decision):
    roll = Roll(
        [
            decision(),
            decision(target="192.0.2.1/32", action=Action.OBSERVE),
            decision(target="a", plane=Plane.ACCOUNT, action=Action.DENY),
        ]
    )

    assert targets(roll.census(NOW)) == ["203.0.113.7/32"]


def test_a_first_census_knows_no_change_and_a_second_knows_them_all(place):
    roll = Roll([])
    assert roll.census(NOW).region is None

    roll.note(place("192.0.2.1/32"))
    roll.note(place("192.0.2.2/32"))
    roll.note(place("192.0.2.1/32", Op.LIFT))
    census = roll.census(NOW)

    assert targets(census) == ["192.0.2.2/32"]
    assert region(census) == ["192.0.2.1/32", "192.0.2.2/32"]
    assert reached(census) == ["192.0.2.2/32"]
    assert roll.census(NOW).region == ()


def test_what_was_never_enforced_is_no_change(place):
    roll = Roll([])
    roll.census(NOW)
    roll.note(place("192.0.2.1/32", action=Action.OBSERVE))
    roll.note(place("192.0.2.2/32", Op.EXPIRE))

    assert roll.census(NOW).region == ()


def test_a_decision_that_turns_into_observing_leaves_the_roll(place):
    roll = Roll([])
    roll.note(place("192.0.2.1/32"))
    roll.census(NOW)
    roll.note(place("192.0.2.1/32", Op.ESCALATE, action=Action.OBSERVE))
    census = roll.census(NOW)

    assert targets(census) == []
    assert region(census) == ["192.0.2.1/32"]


def test_a_change_reaches_the_outermost_network_around_it(place):
    roll = Roll([])
    for target in ("192.0.2.0/24", "192.0.2.64/26", "198.51.100.1/32", "2001:db8::/48"):
        roll.note(place(target))
    roll.census(NOW)
    roll.note(place("192.0.2.65/32"))
    roll.note(place("2001:db8:0:1::/64"))
    roll.note(place("203.0.113.1/32"))

    census = roll.census(NOW)

    assert region(census) == ["192.0.2.0/24", "2001:db8::/48", "203.0.113.1/32"]
    assert reached(census) == [
        "192.0.2.0/24",
        "192.0.2.64/26",
        "192.0.2.65/32",
        "2001:db8:0:1::/64",
        "2001:db8::/48",
        "203.0.113.1/32",
    ]


def test_a_network_that_is_lifted_reaches_what_it_covered(place):
    roll = Roll([])
    roll.note(place("192.0.2.0/24"))
    roll.note(place("192.0.2.5/32"))
    roll.census(NOW)
    roll.note(place("192.0.2.0/24", Op.LIFT))
    census = roll.census(NOW)

    assert region(census) == ["192.0.2.0/24"]
    assert reached(census) == ["192.0.2.5/32"]


def test_what_ends_by_the_wall_clock_has_changed_and_is_counted(place):
    roll = Roll([])
    roll.census(NOW)
    roll.note(place("192.0.2.0/24", until=NOW + 5))
    roll.note(place("192.0.2.1/32", until=NOW + 90))
    roll.census(NOW)
    assert roll.census(NOW + 4).region == ()

    census = roll.census(NOW + 5)

    assert region(census) == ["192.0.2.0/24"]
    assert (census.total, census.lapsed) == (2, 1)


def test_a_decision_that_was_renewed_does_not_lapse_at_its_first_end(place):
    roll = Roll([])
    roll.note(place("192.0.2.1/32", until=NOW + 5))
    roll.note(place("192.0.2.1/32", Op.RENEW, until=NOW + 60))
    roll.census(NOW)

    assert roll.census(NOW + 6).region == ()
    assert region(roll.census(NOW + 60)) == ["192.0.2.1/32"]


def test_forced_targets_are_known_while_their_decisions_live(place):
    roll = Roll([])
    roll.note(place("203.0.113.7/32", forced=True))
    roll.note(place("203.0.113.8/32", forced=True))
    roll.note(place("203.0.113.9/32"))
    assert ["203.0.113.7/32", "203.0.113.8/32"] == roll.forced()

    roll.note(place("203.0.113.7/32", op=Op.EXPIRE, forced=True))
    roll.note(place("203.0.113.8/32", op=Op.RENEW))
    assert roll.forced() == []


def test_forced_targets_are_known_after_a_restart(decision):
    assert ["203.0.113.7/32"] == Roll([decision(forced=True)]).forced()


def test_what_is_around_a_span_is_told_from_the_narrowest_on(place):
    roll = Roll([])
    for target in ("203.0.113.0/24", "203.0.113.8/29", "203.0.113.9/32", "192.0.2.0/24"):
        roll.note(place(target))
    around = [d.target for d in roll.around(parse_span("203.0.113.9"))]

    assert ["203.0.113.9/32", "203.0.113.8/29", "203.0.113.0/24"] == around
    assert ["203.0.113.0/24"] == [d.target for d in roll.around(parse_span("203.0.113.8/28"))]
    assert [] == list(roll.around(parse_span("2001:db8::/64")))
