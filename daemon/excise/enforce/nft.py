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
    merged,
)
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.base import Counters, Traffic
from excise.enforce.nft_reader import Marks, NftReader
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import Message
from excise.errors import DivergedError, EnforceError, UnsupportedError

#: a transaction holds up everybody else's, so a change larger than this is cut (20 to 50 ms)
CHANGE_BYTES = 2 << 20
#: a rebuild is one transaction up to here: about 100,000 addresses, and no gap
REBUILD_BYTES = 24 << 20
#: additions after which lapsed elements are forgotten here too
FORGET_FROM = 1_000


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
        self._believed: dict[Measure, dict[Span, Element]] = {}
        self._allow: list[Span] = []
        self._ports: list[int] = []
        self._added = 0
        self._generation = 0
        self._marks: Marks = frozenset()
        self._renews_in_place = True

    def open(self) -> None:
        """Take over our tables of an earlier run in one transaction, or make them.

        Opening again after an error, or after the socket was lost, is fine.
        """
        with self._lock:
            self._shut()
            self._opened = NftSocket(self._netns)
            try:
                exists = self._reader.tables()
                sets = self._reader.sets()
                self._allow, self._ports = self._reader.allowed(sets), self._reader.ports(sets)
                self._rebuild(self._reader.elements(sets), exists)
            except EnforceError:
                self._shut()
                raise

    def read(self) -> ActiveSet:
        """Return what the kernel holds; nothing for a table that is gone."""
        with self._lock:
            return self._reader.elements(self._reader.sets())

    def apply(self, change: ChangeSet) -> None:
        """Make a change and read it back. Raises DivergedError where the kernel disagrees."""
        with self._lock:
            if change.is_empty:
                return
            begun = time.monotonic()
            self._do(change)
            self._believe(change)
            missing = self._missing(change.additions, begun)
            if self._renews_in_place and missing and all(_is_stale(*pair) for pair in missing):
                # before Linux 6.12 a renewal is no error, and changes nothing
                self._renews_in_place = False
                self._do(ChangeSet(additions=tuple(e for e, _held in missing)))
                missing = self._missing(change.additions, begun)
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
            self._rebuild(wish, self._reader.tables())

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
            # noted first: should this fail, `replace` puts them in place
            self._allow, self._ports = spans, numbers
            self._commit(list(content.guards(spans, numbers)))
            sets = self._reader.sets()
            if (spans, numbers) != (
                self._reader.allowed(sets),
                self._reader.ports(sets),
            ):
                raise DivergedError("the guard sets did not take; the tables must be built anew")

    def in_sync(self) -> bool:
        """Compare the ruleset's generation; look closer when somebody else made a change."""
        with self._lock:
            generation = self._reader.generation()
            if generation == self._generation:
                return True
            marks, counts = self._reader.look()
            if marks != self._marks or self._lacks(counts):
                return False
            self._generation = generation
            return True

    def unmet(self) -> str:
        """Nothing: the rules are made with the sets."""
        return ""

    def counters(self) -> Counters:
        """Return what was taken away from each target but single dropped addresses."""
        with self._lock:
            counted = [e for e in self._all_believed() if layout.spec_of(e.measure, e.span).counted]
            found: dict[tuple[str, Measure], Traffic] = {}
            entries = self._reader.entries([content.query(e) for e in counted])
            for e, (raw, _ts) in zip(counted, entries, strict=True):
                traffic = content.traffic_of(raw) if raw else None
                if traffic:
                    found[str(e.span), e.measure] = traffic
            return found

    def lift_all(self) -> None:
        """Remove both tables."""
        with self._lock:
            self._commit(layout.remove(self._reader.tables()))
            self._believed = {}
            self._marks, _counts = self._reader.look()

    def close(self, *, keep: bool) -> None:
        """End; with `keep` the tables stay until their elements' deadlines."""
        with self._lock:
            if self._opened is None:
                return
            try:
                if not keep:
                    self.lift_all()
            finally:
                self._shut()

    def _shut(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _socket(self) -> NftSocket:
        if self._opened is None:
            raise EnforceError("the nftables backend is not open: call open() first")
        return self._opened

    @property
    def _reader(self) -> NftReader:
        return NftReader(self._socket, self._clock)

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
        self._believed = {measure: dict(spans) for measure, spans in wish.held.items()}
        self._generation = self._reader.generation()
        self._marks, _counts = self._reader.look()

    def _fill(self, fill: ChangeSet, exists: Sequence[int]) -> None:
        ground = [
            *layout.build(exists, self._flags),
            *content.guards(self._allow, self._ports),
        ]
        filling = content.changes(fill, self._clock, in_place=True)
        for part in _parts([*ground, *filling], min(REBUILD_BYTES, self._socket.limit_bytes)):
            self._commit(part)

    def _do(self, change: ChangeSet) -> None:
        messages = content.changes(change, self._clock, in_place=self._renews_in_place)
        for part in _parts(messages, min(CHANGE_BYTES, self._socket.limit_bytes)):
            self._commit(part)

    def _believe(self, change: ChangeSet) -> None:
        """Note a change; in place, as copying a large set costs more than a small change."""
        for e in change.removals:
            self._believed.get(e.measure, {}).pop(e.span, None)
        for e in change.additions:
            self._believed.setdefault(e.measure, {})[e.span] = e
        self._added += len(change.additions)
        if self._added > max(FORGET_FROM, sum(map(len, self._believed.values())) // 2):
            self._added, now = 0, self._clock()
            for measure, spans in self._believed.items():
                self._believed[measure] = {s: e for s, e in spans.items() if e.until > now}

    def _all_believed(self) -> Iterator[Element]:
        return (e for spans in self._believed.values() for e in spans.values())

    def _commit(self, messages: Sequence[Message]) -> None:
        if messages:
            self._socket.commit(messages)
            # counted, not asked for: a foreign change in between must not pass unseen
            self._generation = (self._generation + 1) & 0xFFFFFFFF

    def _remaining(self, change: ChangeSet) -> list[Element]:
        """Return the removals that the kernel still shows."""
        added = {(e.measure, e.span) for e in change.additions}
        gone = [e for e in change.removals if (e.measure, e.span) not in added]
        return [e for e, held in self._reader.look_up(gone) if held and held.span == e.span]

    def _missing(
        self, additions: Sequence[Element], begun: float
    ) -> list[tuple[Element, Element | None]]:
        """Return the additions that the kernel does not show, and what it shows instead."""
        found = list(self._reader.look_up(additions))
        now, took_s = self._clock(), time.monotonic() - begun
        return [(e, held) for e, held in found if not content.agrees(e, held, now, took_s)]

    def _lacks(self, counts: dict[tuple[int, str], int]) -> bool:
        """Whether a set counts fewer entries than it must have; unknown before 6.16."""
        due: dict[tuple[int, str], int] = {}
        soon = self._clock() + TOLERANCE_S
        for e in self._all_believed():
            if e.until <= soon:
                continue
            if e.span.end == (1 << BITS[e.span.version]) - 1 and not e.span.is_host:
                continue  # the kernel counts pairs of entries, and this one has no closing one
            spec = layout.spec_of(e.measure, e.span)
            where = e.span.version, spec.name
            due[where] = due.get(where, 0) + 1
        return any(counts.get(where, number) < number for where, number in due.items())


def _is_stale(wanted: Element, held: Element | None) -> bool:
    """Whether the kernel holds what was wanted, but for its deadline."""
    return held is not None and (held.span, held.rate) == (wanted.span, wanted.rate)


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
