"""`excise run --lift-all`: nothing of excise in the kernel, nothing enforced in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from excise.config import load
from excise.daemon.clock import SystemClock
from excise.daemon.converge import Converger
from excise.daemon.kernel import make_enforcer
from excise.daemon.statedir import StateDirectory
from excise.errors import InUseError, StoreError
from excise.model.decision import DecisionEvent, Op
from excise.store.store import Batch, Store

REASON = "lifted by excise run --lift-all"


def lift_everything(path: Path | None) -> str:
    """Remove every trace from the kernel, end all enforcing decisions; say what was done.

    Raises ExciseError; a store that cannot be opened does not keep the kernel from being cleared.
    """
    config = load(path)
    state = StateDirectory(config.state)
    converger = Converger(make_enforcer(config))
    try:
        with state.locked():
            converger.sweep()
            ended = _end_decisions(state)
    except InUseError:
        # A running daemon would put everything back at once.
        raise
    except StoreError:
        converger.sweep()
        raise
    return f"nothing of excise is in the kernel; {ended} enforcing decisions ended"


def _end_decisions(state: StateDirectory) -> int:
    """End what would be enforced again at the next start."""
    if not state.database.exists():
        return 0
    store, _ = Store.open(state.database, SystemClock().wall())
    try:
        stored = store.load()
        ending = [decision for decision in stored.decisions if decision.enforcing]
        events = [
            (serial, DecisionEvent(stored.clock, Op.LIFT, replace(decision, reason=REASON)))
            for serial, decision in enumerate(ending, stored.serials)
        ]
        serials = stored.serials + len(events)
        store.commit(
            Batch(
                clock=stored.clock,
                wall=stored.wall,
                serials=serials,
                events=events,
                durable=True,
            )
        )
    finally:
        store.close()
    return len(ending)
