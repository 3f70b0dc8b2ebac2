import asyncio

import pytest

from excise.daemon.meter import MOST_COUNTERS, ROUND_S, Meter
from excise.daemon.roll import Roll
from excise.decide.plan import Element, Measure
from excise.decide.span import parse_span
from excise.enforce.base import Counted, Traffic
from excise.errors import EnforceError
from excise.model.decision import Action
from excise.model.view import CountView, EnforcerView


class FakeKernel:
    """Counts as it is told to; notes how many counters each job asked for."""

    def __init__(self):
        self.opened = True
        self.epoch = 1
        self.elements = []
        self.traffic = {}
        self.totals = {}
        self.jobs = []
        self.broken = False

    def countable(self):
        return list(self.elements)

    def count(self, elements):
        if self.broken:
            raise EnforceError("no answer")
        self.jobs.append(len(elements))
        asked = {(e.measure, e.span) for e in elements}
        return Counted(self.epoch, {k: t for k, t in self.traffic.items() if k in asked})

    def count_all(self):
        return Counted(self.epoch, dict(self.totals))

    def hold(self, target, measure=Measure.EGRESS, rate=5_120):
        self.elements.append(Element(measure, parse_span(target), rate, 2e9))

    def counts(self, target, packets, byte_count, measure=Measure.EGRESS):
        self.traffic[measure, parse_span(target)] = Traffic(packets, byte_count)


@pytest.fixture
def kernel():
    return FakeKernel()


@pytest.fixture
def throttle(decision):
    def make(target, tier="crawl", **changes):
        return decision(id=target, target=target, action=Action.THROTTLE, tier=tier, **changes)

    return make


@pytest.fixture
def metering(kernel, executor, clock, log):
    """Make a meter over decisions, and a function that lets it look."""

    def make(*decisions):
        roll = Roll(decisions)
        meter = Meter(kernel, executor, roll.around, clock.wall, log)

        def look():
            clock.advance(ROUND_S)
            asyncio.run(meter.look())

        return meter, look, roll

    return make


def egress(meter, decision_id):
    found = meter.dropped(decision_id)
    return None if found is None else (found.packets, found.bytes)


def test_what_is_counted_adds_up_over_looks(kernel, metering, throttle):
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    for numbers in ((2, 200), (2, 200), (5, 900)):
        kernel.counts("203.0.113.7", *numbers)
        look()

    assert (5, 900) == egress(meter, "203.0.113.7/32")


@pytest.mark.parametrize("renewed", [(1, 100), (0, 0)])
def test_a_counter_that_began_anew_is_added_to_what_was(kernel, metering, throttle, renewed):
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    kernel.counts("203.0.113.7", 5, 900)
    look()
    kernel.counts("203.0.113.7", *renewed)
    look()

    assert (5 + renewed[0], 900 + renewed[1]) == egress(meter, "203.0.113.7/32")


def test_after_a_rebuild_a_counter_beyond_the_last_one_is_wholly_new(kernel, metering, throttle):
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    kernel.counts("203.0.113.7", 5, 900)
    kernel.totals = {Measure.EGRESS: Traffic(5, 900)}
    look()
    kernel.epoch += 1
    kernel.counts("203.0.113.7", 6, 1_000)
    kernel.totals = {Measure.EGRESS: Traffic(6, 1_000)}
    look()

    assert (11, 1_900) == egress(meter, "203.0.113.7/32")
    assert {Measure.EGRESS: Traffic(11, 1_900)} == meter.totals


def test_another_rate_is_another_counter(kernel, metering, throttle):
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7", rate=51_200)
    kernel.counts("203.0.113.7", 5, 900)
    look()
    kernel.elements.clear()
    kernel.hold("203.0.113.7", rate=5_120)
    kernel.counts("203.0.113.7", 7, 1_100)  # since it was put in with the new rate
    look()

    assert (12, 2_000) == egress(meter, "203.0.113.7/32")


def test_a_piece_of_a_network_counts_for_the_network(kernel, metering, throttle, decision):
    meter, look, _ = metering(
        throttle("203.0.113.0/24", "slow"),
        throttle("203.0.113.128/25", "crawl"),
        decision(id="drop", target="203.0.113.9/32"),
    )
    for target in ("203.0.113.0/25", "203.0.113.128/26", "203.0.113.9"):
        kernel.hold(target)
        kernel.counts(target, 1, 10)
    look()

    # a throttle on a dropped address is what the network around it asked for
    assert (2, 20) == egress(meter, "203.0.113.0/24")
    assert (1, 10) == egress(meter, "203.0.113.128/25")
    for target in ("203.0.113.0/25", "203.0.113.128/26", "203.0.113.9"):
        kernel.counts(target, 3, 50)
    look()
    assert meter.dropped("drop") is None
    view = meter.onto(EnforcerView("fake", True, 3, 0, 0, 0))
    assert {
        "slow": {"egress": CountView(4, 80)},
        "crawl": {"egress": CountView(2, 40)},
    } == view.throttled


def test_what_is_lifted_is_forgotten_and_its_tier_keeps_the_sum(kernel, metering, throttle):
    meter, look, roll = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    look()
    kernel.counts("203.0.113.7", 5, 900)
    look()
    roll.reset([])
    kernel.elements.clear()
    for _ in range(2):
        look()

    assert meter.dropped("203.0.113.7/32") is None
    assert {"crawl": {Measure.EGRESS: Traffic(5, 900)}} == meter.tiers


def test_what_something_stricter_covers_for_a_while_keeps_its_sum(kernel, metering, throttle):
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    kernel.counts("203.0.113.7", 5, 900)
    look()
    kernel.elements.clear()
    for _ in range(3):
        look()
    kernel.hold("203.0.113.7")
    kernel.counts("203.0.113.7", 6, 1_000)  # put in anew, as the rule's counter is
    look()

    assert (11, 1_900) == egress(meter, "203.0.113.7/32")


def test_what_was_counted_before_is_the_decision_s_but_no_tier_s(kernel, metering, throttle):
    """Elements outlive a restart of the daemon; sums for the metrics begin with it."""
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    kernel.counts("203.0.113.7", 5, 900)
    look()
    assert ((5, 900), {}) == (egress(meter, "203.0.113.7/32"), meter.tiers)
    kernel.counts("203.0.113.7", 7, 1_000)
    look()

    assert (7, 1_000) == egress(meter, "203.0.113.7/32")
    assert {"crawl": {Measure.EGRESS: Traffic(2, 100)}} == meter.tiers


def test_a_look_is_bounded_and_the_next_goes_on_there(kernel, metering, throttle):
    targets = [f"198.18.{n >> 8}.{n & 255}/32" for n in range(MOST_COUNTERS + 40)]
    meter, look, _ = metering(*map(throttle, targets))
    for target in targets:
        kernel.hold(target)
        kernel.counts(target, 1, 100)
    look()
    assert MOST_COUNTERS == sum(kernel.jobs)
    look()

    assert len(targets) == sum(kernel.jobs)
    assert {(1, 100)} == {egress(meter, target) for target in targets}


def test_nothing_is_asked_while_nothing_is_enforced(kernel, metering):
    kernel.opened = False
    meter, look, _ = metering()
    look()
    assert meter.onto(EnforcerView("fake", True, 0, 0, 0, 0)).counted_ts is None


def test_a_kernel_that_fails_is_asked_again(kernel, metering, throttle):
    meter, look, _ = metering(throttle("203.0.113.7/32"))
    kernel.hold("203.0.113.7")
    kernel.counts("203.0.113.7", 5, 900)
    kernel.broken = True
    look()
    kernel.broken = False
    look()

    assert (5, 900) == egress(meter, "203.0.113.7/32")
