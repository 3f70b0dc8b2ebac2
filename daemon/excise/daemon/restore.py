"""From what an earlier run stored to an engine that stands where it stood.

The snapshot brings the learned state, the log between the snapshot's cursors and the stored ones
brings it up to date; what is decided on that way is dropped, since the decisions of that part are
in the store. Then the engine adopts the stored decisions. So a crash neither loses a decision nor
makes one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from excise.decode.base import Decoder
from excise.engine import Engine
from excise.errors import InvalidError, SourceError
from excise.model.decision import Posture
from excise.model.settings import Settings
from excise.model.step import Allow, Effect, Observed, SetPosture, Tick
from excise.rules.schema import Rulebook
from excise.store.snapshot import Snapshot
from excise.store.store import PostureChoice, Stored


@dataclass(frozen=True, slots=True)
class Reader:
    """How to read an input anew, and a decoder for it.

    `reread` yields the lines between two stored cursors, the first None: from the start. It
    raises SourceError where they are gone.
    """

    name: str
    reread: Callable[[str | None, str], Iterator[list[bytes]]]
    make_decoder: Callable[[], Decoder]
    from_start: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """An engine that goes on. `effects` are what starting changed, `notes` are for a person."""

    engine: Engine
    posture: PostureChoice
    effects: tuple[Effect, ...]
    notes: tuple[str, ...]


def restore(
    settings: Settings,
    rulebook: Rulebook,
    stored: Stored,
    snapshot: Snapshot | None,
    readers: Sequence[Reader],
) -> Restored:
    """Return the engine as of the stored cursors, with the stored decisions in force."""
    posture = choose_posture(settings.posture, stored.posture)
    earlier = stored.posture.chosen if stored.posture else posture.chosen
    engine, notes = _remember(
        msgspec.structs.replace(settings, posture=earlier), rulebook, snapshot
    )
    # Adopted before as well: what is decided already is then renewed on the way, not decided
    # anew, and the governor does not mistake a restart for a flood.
    engine.adopt(stored.decisions, stored.strikes)
    if snapshot is not None:
        for reader in readers:
            begin, end = snapshot.cursors.get(reader.name), stored.cursors.get(reader.name)
            notes += catch_up(engine, reader, begin, end)
    if stored.clock > engine.clock:
        engine.step([Tick()], stored.clock)
    engine.adopt(stored.decisions, stored.strikes)
    effects = _allow_again(engine, stored)
    if posture.chosen is not earlier:
        effects += engine.step([SetPosture(posture.chosen)])
    return Restored(engine, posture, tuple(effects), tuple(notes))


def choose_posture(configured: Posture, stored: PostureChoice | None) -> PostureChoice:
    """Return the posture to start with: the operator's, until the file is changed."""
    if stored is not None and stored.configured is configured:
        return stored
    return PostureChoice(chosen=configured, configured=configured)


def catch_up(engine: Engine, reader: Reader, begin: str | None, end: str | None) -> list[str]:
    """Feed the engine the lines from the cursor `begin` to `end`; effects are dropped.

    Without `begin` the input is read from its start if it was begun there. Returns what a person
    should know; a part of the log that is gone is passed over.
    """
    if end is None or begin == end or (begin is None and not reader.from_start):
        return []
    decoder = reader.make_decoder()
    try:
        for lines in reader.reread(begin, end):
            engine.step([Observed(decoder.decode(lines).records)])
    except SourceError as error:
        return [f"{reader.name}: {error}"]
    return []


def _remember(
    settings: Settings, rulebook: Rulebook, snapshot: Snapshot | None
) -> tuple[Engine, list[str]]:
    engine = Engine(settings, rulebook)
    if snapshot is None:
        return engine, []
    try:
        engine.restore(snapshot.blob)
    except InvalidError as error:
        # Half restored is worse than empty.
        return Engine(settings, rulebook), [f"{error}; learning starts anew"]
    return engine, []


def _allow_again(engine: Engine, stored: Stored) -> list[Effect]:
    effects: list[Effect] = []
    for cidr, until in stored.allowed.items():
        # The engine stands where it stood when the wall clock said `stored.wall`.
        ttl_s = None if until is None else until - stored.wall
        if ttl_s is None or ttl_s > 0:
            effects += engine.step([Allow(cidr, ttl_s)], stored.clock or None)
    return effects
