"""Decisions, their stream and the cursors of the inputs, changed together or not at all.

A decision and the cursor of the line that led to it share one transaction. After a crash the
log is read again from the committed cursor, so a decision is neither lost nor made twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec

from excise.decide.book import STRIKE_MEMORY_S
from excise.errors import StoreError
from excise.hostfile import make_empty
from excise.model.decision import Decision, DecisionEvent, Op, Origin, Posture
from excise.store.schema import connect, set_aside

#: of the database, where excise makes it
MODE = 0o640
#: a cursor that is this is deleted
FORGOTTEN = ""
ENDS = frozenset({Op.LIFT, Op.EXPIRE})
_COLUMNS = tuple(f.name for f in fields(Decision))
_UPSERT = (
    f"INSERT OR REPLACE INTO decisions ({', '.join(_COLUMNS)}, ended, ended_by)"  # noqa: S608 (names of our own fields)
    f" VALUES ({', '.join('?' * (len(_COLUMNS) + 2))})"
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM decisions"  # noqa: S608 (names of our own fields)


class PostureChoice(msgspec.Struct, frozen=True):
    """An operator's posture, and the configured one that it overrides.

    It holds while the configuration still says `configured`: editing the file ends it.
    """

    chosen: Posture
    configured: Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What changes in one transaction.

    `events` are (serial, event); `cursors` is input name → cursor as JSON text, or `FORGOTTEN`;
    `clock` is the engine's, `wall` the wall clock beside it; `serials` is the first serial never
    given out.
    `allowed` is CIDR → wall clock until which it holds, None for good. `durable` waits for the
    disk: for what no log can bring back after a power cut.
    """

    clock: float
    wall: float
    serials: int
    events: Sequence[tuple[int, DecisionEvent]] = ()
    cursors: Mapping[str, str] = field(default_factory=dict)
    allowed: Mapping[str, float | None] = field(default_factory=dict)
    disallowed: Sequence[str] = ()
    posture: PostureChoice | None = None
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """All that a restart starts from. `clock` and `wall` are 0.0 on the first start."""

    decisions: tuple[Decision, ...]
    strikes: dict[tuple[str, str], int]
    cursors: dict[str, str]
    allowed: dict[str, float | None]
    posture: PostureChoice | None
    clock: float
    wall: float
    serials: int


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of the past: ended decisions by age and number, strikes by age, events."""

    age_s: float = 30 * 86_400.0
    strikes_s: float = STRIKE_MEMORY_S
    decisions: int = 100_000
    events: int = 100_000


class Store:
    """The state database. Synchronous; one caller at a time. Failures raise StoreError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, path: Path, wall: float) -> tuple[Store, str]:
        """Open or create the database; the text says what a person must know, `""` if nothing.

        A damaged file is renamed aside and an empty one begun: protection fails open.
        Raises StoreError where neither can be done.
        """
        try:
            make_empty(path, MODE)
            return cls(connect(path)), ""
        except (sqlite3.OperationalError, OSError) as error:
            raise StoreError(f"{path}: {error}; check space and rights in {path.parent}") from error
        except sqlite3.DatabaseError as damage:
            return cls._afresh(path, f".damaged-{int(wall)}", damage)

    @classmethod
    def _afresh(cls, path: Path, suffix: str, damage: Exception) -> tuple[Store, str]:
        try:
            aside = set_aside(path, suffix)
            make_empty(path, MODE)
            note = f"{path} was damaged ({damage}); kept as {aside.name}, started empty"
            return cls(connect(path)), note
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{path} is damaged ({damage}), and no new one can be made: {error};"
                f" check space and rights in {path.parent}, or move the file away"
            ) from error

    def close(self) -> None:
        """Close the database; a clean close leaves no WAL behind."""
        self._db.close()

    def load(self) -> Stored:
        """Return everything a restart needs."""
        with self._guard("read"):
            meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
            rows = self._db.execute(f"{_SELECT} WHERE ended IS NULL ORDER BY plane, target")
            strikes = self._db.execute("SELECT plane, target, strikes FROM strikes").fetchall()
            choice = meta.get("posture")
            return Stored(
                decisions=tuple(_decision(row) for row in rows),
                strikes={(plane, target): count for plane, target, count in strikes},
                cursors=dict(self._db.execute("SELECT input, cursor FROM cursors").fetchall()),
                allowed=dict(self._db.execute("SELECT cidr, until FROM allow").fetchall()),
                posture=msgspec.json.decode(choice, type=PostureChoice) if choice else None,
                clock=float(meta.get("clock", 0.0)),
                wall=float(meta.get("wall", 0.0)),
                serials=int(meta.get("serials", 1)),
            )

    def commit(self, *batches: Batch) -> None:
        """Write the batches in order, in one transaction. Raises StoreError, and keeps nothing."""
        durable = any(batch.durable for batch in batches)
        with self._guard("write"), self._transaction(durable=durable):
            for batch in batches:
                self._write(batch)

    def settle(self, decisions: Sequence[Decision], ts: float) -> None:
        """Make the active set exactly `decisions`: after events were lost to a full disk."""
        with self._guard("write"), self._transaction(durable=False):
            self._db.execute(
                "UPDATE decisions SET ended = ?, ended_by = 'lost' WHERE ended IS NULL", (ts,)
            )
            self._db.executemany(_UPSERT, [(*_row(d), None, None) for d in decisions])

    def events_after(self, serial: int, limit: int) -> list[tuple[int, DecisionEvent]]:
        """Return at most `limit` kept events with a serial above `serial`, oldest first."""
        with self._guard("read"):
            rows = self._db.execute(
                "SELECT serial, ts, op, decision FROM events WHERE serial > ?"
                " ORDER BY serial LIMIT ?",
                (serial, limit),
            ).fetchall()
        return [
            (number, DecisionEvent(ts, Op(op), msgspec.json.decode(text, type=Decision)))
            for number, ts, op, text in rows
        ]

    def prune(self, now: float, keep: Retention) -> None:
        """Forget what is older than `keep` allows; `now` is the engine's clock."""
        with self._guard("write"), self._transaction(durable=False):
            self._db.execute("DELETE FROM decisions WHERE ended < ?", (now - keep.age_s,))
            self._db.execute("DELETE FROM strikes WHERE last_ts < ?", (now - keep.strikes_s,))
            self._db.execute(
                "DELETE FROM decisions WHERE rowid IN (SELECT rowid FROM decisions"
                " WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT -1 OFFSET ?)",
                (keep.decisions,),
            )
            self._db.execute(
                "DELETE FROM events WHERE serial <= (SELECT serial FROM events"
                " ORDER BY serial DESC LIMIT 1 OFFSET ?)",
                (keep.events,),
            )

    def _write(self, batch: Batch) -> None:
        for serial, event in batch.events:
            self._write_event(serial, event)
        self._db.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", batch.cursors.items())
        self._db.execute("DELETE FROM cursors WHERE cursor = ?", (FORGOTTEN,))
        self._db.executemany("INSERT OR REPLACE INTO allow VALUES (?, ?)", batch.allowed.items())
        self._db.executemany("DELETE FROM allow WHERE cidr = ?", [(c,) for c in batch.disallowed])
        meta = {"clock": repr(batch.clock), "wall": repr(batch.wall), "serials": str(batch.serials)}
        if batch.posture is not None:
            meta["posture"] = msgspec.json.encode(batch.posture).decode()
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())

    def _write_event(self, serial: int, event: DecisionEvent) -> None:
        decision = event.decision
        ended = (event.ts, event.op.value) if event.op in ENDS else (None, None)
        self._db.execute(_UPSERT, (*_row(decision), *ended))
        self._db.execute(
            "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)",
            (serial, event.ts, event.op.value, decision.id, msgspec.json.encode(decision).decode()),
        )
        earned = decision.enforcing and decision.origin is not Origin.TRIAL
        if event.op in ENDS and earned:
            self._db.execute(
                "INSERT OR REPLACE INTO strikes VALUES (?, ?, ?, ?)",
                (decision.plane.value, decision.target, decision.strikes + 1, event.ts),
            )

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        # NORMAL in WAL mode loses the newest commits in a power cut, never half a commit: the
        # cursor goes back with the decision, and the log is read again. An operator's word is
        # in no log, so it waits for the disk.
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StoreError(
                f"cannot {what} the state database: {error}; check space and rights"
            ) from error


def _row(decision: Decision) -> tuple[str | float | int | None, ...]:
    return (
        decision.id,
        decision.plane.value,
        decision.target,
        decision.action.value,
        decision.tier,
        decision.since,
        decision.until,
        decision.score,
        msgspec.json.encode(decision.rules).decode(),
        decision.reason,
        decision.campaign,
        decision.origin.value,
        decision.wanted,
        decision.strikes,
        int(decision.forced),
    )


def _decision(row: tuple[object, ...]) -> Decision:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["rules"] = msgspec.json.decode(str(values["rules"]))
    values["forced"] = bool(values["forced"])
    return msgspec.convert(values, Decision)
