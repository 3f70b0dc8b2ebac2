"""The nftables backend: says what `nft_layout` describes, over `nft_socket`, and reads it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from excise.decide.plan import (
    BITS,
    TOLERANCE_S,
    ActiveSet,
    ChangeSet,
    Desired,
    Element,
    Measure,
    Span,
    gather,
    merged,
)
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.base import Counters, Traffic
from excise.enforce.nft_elem import RawElement, raw_elements
from excise.enforce.nft_layout import ALLOW, FAMILIES, PORTS, SETS, TABLE, VERSIONS
from excise.enforce.nft_socket import NftSocket, error_for
from excise.enforce.nft_wire import KernelError, Message, Msg, Reply, parse, text
from excise.errors import DivergedError, EnforceError, ForeignTableError, UnsupportedError

#: a transaction holds up everybody else's, so a change larger than this is cut (20 to 50 ms)
CHANGE_BYTES = 2 << 20
#: a rebuild is one transaction up to here: about 100,000 addresses, and no gap
REBUILD_BYTES = 24 << 20

#: (message type, family, attributes) of everything in our tables that does not change by itself
Marks = frozenset[tuple[int, int, tuple[tuple[int, bytes], ...]]]


class Nftables:
    """An Enforcer on nftables tables `ip excise` and `ip6 excise`.

    With `owner` nobody else can change or flush them while the daemon runs, an administrator's
    nft(8) included. `netns` names another network namespace, `clock` gives epoch seconds.
    """

    name = "nftables"

    def __init__(
        self,
        *,
        owner: bool = False,
        netns: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._flags = layout.OWNER | layout.PERSIST if owner else 0
        self._netns = netns
        self._clock = clock
        self._lock = threading.RLock()
        self._opened: NftSocket | None = None
        self._believed = ActiveSet()
        self._allow: list[Span] = []
        self._ports: list[int] = []
        self._generation = 0
        self._marks: Marks = frozenset()
        self._renews_in_place = True

    def open(self) -> None:
        """Take over our tables of an earlier run in one transaction, or make them."""
        with self._lock:
            self._opened = NftSocket(self._netns)
            exists = self._tables()
            sets = self._sets_held()
            self._allow = sorted(self._spans_held(ALLOW, sets))
            self._ports = sorted(self._ports_held(sets))
            self._rebuild(self._elements_held(sets), exists)

    def read(self) -> ActiveSet:
        """Return what the kernel holds; nothing for a table that is gone."""
        with self._lock:
            return self._elements_held(self._sets_held())

    def apply(self, change: ChangeSet) -> None:
        """Make a change and read it back. Raises DivergedError where the kernel disagrees."""
        with self._lock:
            if change.is_empty:
                return
            self._do(change)
            self._believed = change.onto(self._believed)
            missing = self._missing(change.additions)
            if self._renews_in_place and missing and all(_is_stale(*pair) for pair in missing):
                # before Linux 6.12 a renewal is no error, and changes nothing
                self._renews_in_place = False
                self._do(ChangeSet(additions=tuple(e for e, _held in missing)))
                missing = self._missing(change.additions)
            wrong = [*self._remaining(change), *(e for e, _held in missing)]
            if wrong:
                first = wrong[0]
                raise DivergedError(
                    f"{len(wrong)} of {len(change)} changes did not take, first {first.span} in set"
                    f" {layout.spec_of(first.measure, first.span).name}; the tables must be built"
                    " anew"
                )

    def replace(self, wish: Desired) -> None:
        """Build both tables anew with `wish` in them, in one transaction if it fits."""
        with self._lock:
            self._rebuild(wish, self._tables())

    def set_guards(self, allow: Sequence[str], ports: Sequence[int]) -> None:
        """Say what always passes and which ports are touched.

        Raises ValueError for what is no CIDR or no port.
        """
        spans, numbers = merged(allow), sorted(set(ports))
        if any(not 0 < port < 1 << 16 for port in numbers):
            raise ValueError(f"not a port: {numbers}")
        with self._lock:
            if (spans, numbers) == (self._allow, self._ports):
                return
            self._commit(list(content.guards(spans, numbers)))
            self._allow, self._ports = spans, numbers
            sets = self._sets_held()
            if (spans, numbers) != (
                sorted(self._spans_held(ALLOW, sets)),
                sorted(self._ports_held(sets)),
            ):
                raise DivergedError("the guard sets did not take; the tables must be built anew")

    def in_sync(self) -> bool:
        """Compare the ruleset's generation; look closer when somebody else made a change."""
        with self._lock:
            generation = self._ask_generation()
            if generation == self._generation:
                return True
            marks, counts = self._look()
            if marks != self._marks or self._lacks(counts):
                return False
            self._generation = generation
            return True

    def counters(self) -> Counters:
        """Return what was taken away from each target but single dropped addresses."""
        with self._lock:
            counted = [e for e in self._believed if layout.spec_of(e.measure, e.span).counted]
            found: dict[tuple[str, Measure], Traffic] = {}
            entries = self._entries([content.query(e) for e in counted])
            for e, raw in zip(counted, entries, strict=True):
                traffic = content.traffic_of(raw) if raw else None
                if traffic:
                    found[str(e.span), e.measure] = traffic
            return found

    def lift_all(self) -> None:
        """Remove both tables."""
        with self._lock:
            self._commit(layout.remove(self._tables()))
            self._believed = ActiveSet()
            self._marks, _counts = self._look()

    def close(self, *, keep: bool) -> None:
        """End; with `keep` the tables stay until their elements' deadlines."""
        with self._lock:
            if self._opened is None:
                return
            if not keep:
                self.lift_all()
            self._opened.close()
            self._opened = None

    @property
    def _socket(self) -> NftSocket:
        if self._opened is None:
            raise EnforceError("the nftables backend is not open: call open() first")
        return self._opened

    def _rebuild(self, wish: Desired, exists: Iterable[int]) -> None:
        fill = ChangeSet(additions=tuple(sorted(wish)))
        exists = sorted(exists)
        try:
            self._fill(fill, exists)
        except UnsupportedError:
            if not self._flags:
                raise
            self._flags = 0  # before 6.9 a table cannot outlive its owner: do without one
            self._fill(fill, exists)
        self._believed = wish
        self._generation = self._ask_generation()
        self._marks, _counts = self._look()

    def _fill(self, fill: ChangeSet, exists: Sequence[int]) -> None:
        ground = [
            *layout.build(exists, self._flags),
            *content.guards(self._allow, self._ports),
        ]
        filling = content.changes(fill, self._clock(), in_place=True)
        for part in _parts([*ground, *filling], min(REBUILD_BYTES, self._socket.limit_bytes)):
            self._commit(part)

    def _do(self, change: ChangeSet) -> None:
        messages = content.changes(change, self._clock(), in_place=self._renews_in_place)
        for part in _parts(messages, min(CHANGE_BYTES, self._socket.limit_bytes)):
            self._commit(part)

    def _commit(self, messages: Sequence[Message]) -> None:
        if messages:
            self._socket.commit(messages)
            # counted, not asked for: a foreign change in between must not pass unseen
            self._generation = (self._generation + 1) & 0xFFFFFFFF

    def _tables(self) -> set[int]:
        """Return the versions of which a table of ours is there. Raises ForeignTableError."""
        found = set()
        for reply in self._socket.ask(Message(Msg.GETTABLE, 0, b"")):
            fields = parse(reply.payload)
            if reply.family not in VERSIONS or _name(fields.get(1, b"")) != TABLE:
                continue
            if layout.MARK.encode() not in fields.get(6, b""):
                kind = "ip" if reply.family == FAMILIES[4] else "ip6"
                raise ForeignTableError(
                    f"nftables table '{kind} {TABLE}' was not made by this daemon; look at it with"
                    f" 'nft list table {kind} {TABLE}', then rename it, or remove it with"
                    f" 'nft delete table {kind} {TABLE}'"
                )
            found.add(VERSIONS[reply.family])
        return found

    def _sets_held(self) -> set[tuple[int, str]]:
        """Return (version, name) of the sets in our tables."""
        found = set()
        for reply in self._socket.ask(Message(Msg.GETSET, 0, b"")):
            fields = parse(reply.payload)
            if reply.family in VERSIONS and _name(fields.get(1, b"")) == TABLE:
                found.add((VERSIONS[reply.family], _name(fields.get(2, b""))))
        return found

    def _elements_held(self, sets: set[tuple[int, str]]) -> ActiveSet:
        found: list[Element] = []
        for measure, specs in SETS.items():
            for spec in specs:
                for version in FAMILIES:
                    raws = self._dump(version, spec.name, sets)
                    found += content.elements_of(measure, version, spec, raws, self._clock())
        return gather(found)

    def _spans_held(self, spec: layout.SetSpec, sets: set[tuple[int, str]]) -> Iterator[Span]:
        for version in FAMILIES:
            raws = self._dump(version, spec.name, sets)
            yield from (span for span, _raw in content.spans_of(version, raws))

    def _ports_held(self, sets: set[tuple[int, str]]) -> set[int]:
        return {
            int.from_bytes(raw.key, "big")
            for version in FAMILIES
            for raw in self._dump(version, PORTS.name, sets)
        }

    def _dump(self, version: int, name: str, sets: set[tuple[int, str]]) -> list[RawElement]:
        if (version, name) not in sets:
            return []
        asked = Message(Msg.GETSETELEM, FAMILIES[version], text(1, TABLE) + text(2, name))
        return [raw for reply in self._socket.ask(asked) for raw in raw_elements(reply)]

    def _entries(self, queries: Sequence[Message]) -> Iterator[RawElement | None]:
        """Yield the entry that each query finds."""
        for answer in self._socket.ask_each(queries):
            yield next(raw_elements(answer), None) if isinstance(answer, Reply) else None

    def _look_up(self, elements: Sequence[Element]) -> Iterator[tuple[Element, Element | None]]:
        """Yield each element with what the kernel holds where it starts."""
        networks = [e for e in elements if not e.span.is_host]
        starts = self._entries([content.query(e) for e in elements])
        found = dict(zip(elements, starts, strict=True))
        closing = self._entries([content.query(e, end=True) for e in networks])
        ends = dict(zip(networks, closing, strict=True))
        now = self._clock()
        for e, start in found.items():
            spec = layout.spec_of(e.measure, e.span)
            entries = [raw for raw in (start, ends.get(e)) if raw]
            held = content.elements_of(e.measure, e.span.version, spec, entries, now)
            yield e, next(held, None)

    def _remaining(self, change: ChangeSet) -> list[Element]:
        """Return the removals that the kernel still shows."""
        added = {(e.measure, e.span) for e in change.additions}
        gone = [e for e in change.removals if (e.measure, e.span) not in added]
        return [e for e, held in self._look_up(gone) if held and held.span == e.span]

    def _missing(self, additions: Sequence[Element]) -> list[tuple[Element, Element | None]]:
        """Return the additions that the kernel does not show, with what it shows instead."""
        now = self._clock()
        return [(e, h) for e, h in self._look_up(additions) if not content.agrees(e, h, now)]

    def _ask_generation(self) -> int:
        (answer,) = self._socket.ask_each([Message(Msg.GETGEN, 0, b"")])
        if isinstance(answer, KernelError):
            raise error_for(answer, "reading the generation", whole=True)
        return int.from_bytes(parse(answer.payload).get(1, b""), "big")

    def _look(self) -> tuple[Marks, dict[tuple[int, str], int]]:
        """Return what our tables are made of, and how many entries each set counts."""
        marks = set()
        counts: dict[tuple[int, str], int] = {}
        for kind in (Msg.GETTABLE, Msg.GETCHAIN, Msg.GETSET, Msg.GETRULE):
            only_ours = text(1, TABLE) if kind is Msg.GETRULE else b""
            for family in VERSIONS:
                for reply in self._socket.ask(Message(kind, family, only_ours)):
                    fields = parse(reply.payload)
                    if _name(fields.get(1, b"")) != TABLE:
                        continue
                    if kind is Msg.GETSET:
                        count = fields.pop(layout.SET_COUNT, None)
                        if count is not None:
                            where = VERSIONS[family], _name(fields[2])
                            counts[where] = int.from_bytes(count, "big")
                    marks.add((int(kind), family, tuple(sorted(fields.items()))))
        return frozenset(marks), counts

    def _lacks(self, counts: dict[tuple[int, str], int]) -> bool:
        """Whether a set counts fewer entries than it must have; unknown before 6.16."""
        due: dict[tuple[int, str], int] = {}
        for e in self._believed.alive(self._clock() + TOLERANCE_S):
            if e.span.end == (1 << BITS[e.span.version]) - 1 and not e.span.is_host:
                continue  # the kernel counts pairs of entries, and this one has no closing one
            spec = layout.spec_of(e.measure, e.span)
            where = e.span.version, spec.name
            due[where] = due.get(where, 0) + 1
        return any(counts.get(where, number) < number for where, number in due.items())


def _is_stale(wanted: Element, held: Element | None) -> bool:
    """Whether the kernel holds what was wanted, but for its deadline."""
    return held is not None and (held.span, held.rate) == (wanted.span, wanted.rate)


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")


def _parts(messages: Iterable[Message], limit_bytes: int) -> Iterator[list[Message]]:
    """Cut messages into transactions; 64 bytes pay for a message's own headers and the batch's."""
    part: list[Message] = []
    size = 0
    for message in messages:
        cost = len(message.payload) + 64
        if part and size + cost > limit_bytes:
            yield part
            part, size = [], 0
        part.append(message)
        size += cost
    if part:
        yield part
