"""What goes wrong is counted and told, now and then."""

import pytest

from excise.gateways.guard import SPEAK_EVERY_S, Complaints, harmless


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_first_is_told_at_once_and_more_of_it_once_a_minute(clock):
    texts = []
    complaints = Complaints(clock, texts.append)
    for _ in range(3):
        complaints.add("full")
    complaints.add("missing")
    clock.now += SPEAK_EVERY_S
    complaints.speak()
    complaints.speak()
    assert ["full (1 times)", "full (2 times); missing (1 times)"] == texts


def test_a_call_that_raises_is_counted_and_answered(clock):
    texts = []
    complaints = Complaints(clock, texts.append)
    assert (1, 7) == (harmless(complaints, 0, int, "1"), harmless(complaints, 7, int, "x"))
    assert ["defect in int: ValueError (1 times)"] == texts


def test_what_is_not_ours_to_catch_passes(clock):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harmless(Complaints(clock, [].append), None, interrupt)
