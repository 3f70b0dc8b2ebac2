import pytest

from excise.daemon.converge import Converger, Wish
from excise.daemon.roll import Roll
from excise.decide.plan import ActiveSet, Measure, plan
from excise.errors import DivergedError, EnforceError
from excise.model.decision import Action
from excise.model.portguard import NO_GUARD, PortGuard
from excise.model.settings import DEFAULT_TIERS, Room

NOW = 1_000_000.0


class FakeKernel:
    """An enforcer that notes its calls; `fail` names calls that raise once."""

    name = "fake"

    def __init__(self):
        self.calls = []
        self.active = self.ours = ActiveSet()
        self.synced = True
        self.fail = {}

    def _call(self, name):
        self.calls.append(name)
        if name in self.fail:
            raise self.fail.pop(name)

    def open(self):
        self._call("open")

    def read(self):
        self._call("read")
        return self.active

    def apply(self, change):
        self._call("apply")
        self.active = self.ours = change.onto(self.active)
        self.synced = True

    def replace(self, wish):
        self._call("replace")
        change = plan(wish, self.active)
        self.active = self.ours = change.onto(self.active)
        self.synced = True
        return len(change)

    def repair(self):
        self._call("repair")
        self.active, self.synced = self.ours, True
        return 1

    def set_guards(self, allow, ports, guard):
        self._call("guards")
        self.guards = (tuple(allow), tuple(ports), guard)

    def in_sync(self):
        return self.synced

    def lift_all(self):
        self._call("lift_all")
        self.active = ActiveSet()

    def close(self, *, keep):
        self._call(f"close keep={keep}")


@pytest.fixture
def kernel():
    return FakeKernel()


@pytest.fixture
def converger(kernel):
    return Converger(kernel)


def wish(*decisions, protected=(), now=NOW, room=None, guard=NO_GUARD):
    census = Roll(decisions).census(now)
    return Wish(census, DEFAULT_TIERS, protected, (443,), now, room or Room(), guard)


def dropped(kernel):
    return sorted(str(span) for span in kernel.active.held[Measure.DROP])


def test_nothing_is_touched_before_there_is_something_to_enforce(kernel, converger, decision):
    outcome = converger.converge(wish(decision(action=Action.OBSERVE)))

    assert kernel.calls == []
    assert outcome.entries == 0


def test_a_guard_holds_while_nothing_is_enforced(kernel, converger, decision):
    guard = PortGuard((8000,), ("192.0.2.0/24",))
    converger.converge(wish(decision(action=Action.OBSERVE), guard=guard))

    assert kernel.calls == ["open", "guards", "replace", "guards"]
    assert kernel.guards == ((), (443,), guard)


def test_what_a_rule_lost_is_mended_though_no_element_is_missing(kernel, converger, decision):
    converger.converge(wish(guard=PortGuard((8000,))))
    kernel.calls.clear()
    kernel.synced = False

    outcome = converger.converge(wish(guard=PortGuard((8000,))))

    assert kernel.calls == ["repair"]
    assert outcome.repaired


def test_the_first_decision_opens_guards_and_puts_all_in_place(kernel, converger, decision):
    outcome = converger.converge(wish(decision(), protected=("192.0.2.1/32",)))

    assert kernel.calls == ["open", "guards", "replace", "guards"]
    assert kernel.guards == (("192.0.2.1/32",), (443,), NO_GUARD)
    assert dropped(kernel) == ["203.0.113.7/32"]
    assert (outcome.entries, outcome.changes, outcome.repaired) == (1, 1, False)


def test_a_second_round_sends_only_what_changed(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.calls.clear()

    outcome = converger.converge(wish(decision(), decision(id="d2", target="203.0.113.8/32")))

    assert kernel.calls == ["apply"]
    assert outcome.changes == 1


def test_the_same_wish_again_sends_nothing(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.calls.clear()

    assert converger.converge(wish(decision())).changes == 0
    assert kernel.calls == []


def test_what_an_earlier_run_left_is_taken_over(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.calls.clear()

    later = Converger(kernel)
    outcome = later.converge(wish(decision()))

    assert kernel.calls == ["open", "guards", "replace", "guards"]
    assert (outcome.changes, outcome.repaired) == (0, False)


def test_what_somebody_took_away_is_put_back(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.active, kernel.synced = ActiveSet(), False
    assert converger.drifted()

    outcome = converger.converge(wish(decision()))

    assert outcome.repaired
    assert dropped(kernel) == ["203.0.113.7/32"]
    assert not converger.drifted()


def test_a_kernel_that_diverged_is_put_in_place(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.calls.clear()
    kernel.fail["apply"] = DivergedError("not what we believed")

    outcome = converger.converge(wish(decision(), decision(id="d2", target="203.0.113.8/32")))

    assert outcome.repaired
    assert kernel.calls == ["apply", "replace", "guards"]
    assert dropped(kernel) == ["203.0.113.7/32", "203.0.113.8/32"]


def test_what_found_no_room_is_told_and_comes_when_there_is(kernel, converger, decision):
    strong, weak = decision(score=80.0), decision(id="d2", target="203.0.113.9/32", score=60.0)

    outcome = converger.converge(wish(weak, strong, room=Room(clients=1)))
    assert (outcome.entries, outcome.evicted) == (1, 1)
    assert dropped(kernel) == ["203.0.113.7/32"]

    outcome = converger.converge(wish(weak, room=Room(clients=1)))
    assert (outcome.entries, outcome.evicted) == (1, 0)
    assert dropped(kernel) == ["203.0.113.9/32"]


def test_after_a_failure_all_is_put_in_place_not_guessed(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.fail["apply"] = EnforceError("no buffer space")
    with pytest.raises(EnforceError):
        converger.converge(wish(decision(), decision(id="d2", target="203.0.113.8/32")))
    assert converger.drifted()
    kernel.calls.clear()

    converger.converge(wish(decision(), decision(id="d2", target="203.0.113.8/32")))

    assert kernel.calls == ["replace", "guards"]
    assert dropped(kernel) == ["203.0.113.7/32", "203.0.113.8/32"]


def test_changed_guards_reach_the_kernel_even_after_a_failure(kernel, converger, decision):
    converger.converge(wish(decision()))
    kernel.fail["guards"] = EnforceError("busy")
    with pytest.raises(EnforceError):
        converger.converge(wish(decision(), protected=("192.0.2.1/32",)))

    converger.converge(wish(decision(), protected=("192.0.2.1/32",)))

    assert kernel.guards == (("192.0.2.1/32",), (443,), NO_GUARD)


def test_decisions_past_their_end_by_the_wall_clock_are_counted_not_enforced(
    kernel, converger, decision
):
    outcome = converger.converge(wish(decision(until=NOW - 1), decision(target="192.0.2.9/32")))

    assert (outcome.entries, outcome.lapsed) == (1, 1)
    assert dropped(kernel) == ["192.0.2.9/32"]


def test_a_sweep_leaves_no_trace(kernel, converger):
    converger.sweep()

    assert kernel.calls == ["open", "lift_all", "close keep=True"]
    assert not converger.opened


def test_letting_go_of_what_was_never_held_does_nothing(kernel, converger):
    converger.close(keep=True)

    assert kernel.calls == []
