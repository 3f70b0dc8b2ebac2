import pytest

from excise.daemon import lift as module
from excise.daemon.lift import lift_everything
from excise.daemon.statedir import StateDirectory
from excise.errors import InUseError
from excise.model.decision import Action, DecisionEvent, Op
from excise.store.store import Batch, Store


class FakeKernel:
    """Counts how often it was swept."""

    name = "fake"
    swept = 0

    def open(self):
        pass

    def lift_all(self):
        FakeKernel.swept += 1

    def close(self, *, keep):
        pass


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "make_enforcer", lambda config: FakeKernel())
    FakeKernel.swept = 0
    path = tmp_path / "excise.yaml"
    path.write_text(f"state: {tmp_path / 'state'}\n")
    return path


@pytest.fixture
def state(tmp_path):
    return StateDirectory(tmp_path / "state")


def test_the_kernel_is_cleared_even_where_nothing_was_ever_stored(config):
    assert "0 enforcing decisions" in lift_everything(config)
    assert FakeKernel.swept == 1


def test_enforcing_decisions_end_and_others_stay(config, state, decision):
    watched = decision(id="d2", target="192.0.2.1/32", action=Action.OBSERVE)
    state.make()
    store, _ = Store.open(state.database, 0.0)
    events = [(n, DecisionEvent(100.0, Op.ADD, d)) for n, d in ((5, decision()), (6, watched))]
    store.commit(Batch(clock=150.0, wall=1000.0, serials=7, events=events))
    store.close()

    said = lift_everything(config)

    assert "1 enforcing decisions" in said
    store, _ = Store.open(state.database, 0.0)
    stored = store.load()
    assert [d.id for d in stored.decisions] == ["d2"]
    assert (stored.clock, stored.wall, stored.serials) == (150.0, 1000.0, 8)
    ((serial, event),) = store.events_after(6, limit=9)
    assert (serial, event.op, event.decision.id) == (7, Op.LIFT, "d1")
    store.close()


def test_while_a_daemon_runs_it_is_refused(config, state):
    with state.locked(), pytest.raises(InUseError, match="stop that daemon"):
        lift_everything(config)

    assert FakeKernel.swept == 0
