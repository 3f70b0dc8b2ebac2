"""Reads our tables back from the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from excise.decide.plan import ActiveSet, Element, Measure, Span, gather
from excise.enforce import nft_content as content
from excise.enforce import nft_count as count
from excise.enforce import nft_layout as layout
from excise.enforce.base import Traffic
from excise.enforce.nft_elem import RawElement, raw_elements
from excise.enforce.nft_layout import ALLOW, FAMILIES, PORTS, SETS, TABLE, VERSIONS
from excise.enforce.nft_socket import NftSocket, error_for
from excise.enforce.nft_wire import KernelError, Message, Msg, Reply, parse, text
from excise.errors import ForeignTableError

#: more elements than this are read back quicker by a dump of the sets than one by one
DUMP_FROM = 2_000

#: (message type, family, attributes) of everything in our tables that does not change by itself
Marks = frozenset[tuple[int, int, tuple[tuple[int, bytes], ...]]]


class NftReader:
    """Questions about our tables; `sets` are (version, name) of those that are there.

    Raises what NftSocket raises. `clock` gives epoch seconds.
    """

    def __init__(self, nft_socket: NftSocket, clock: Callable[[], float]) -> None:
        self._socket = nft_socket
        self._clock = clock

    def tables(self) -> set[int]:
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

    def sets(self) -> set[tuple[int, str]]:
        """Return (version, name) of the sets in our tables."""
        found = set()
        for reply in self._socket.ask(Message(Msg.GETSET, 0, b"")):
            fields = parse(reply.payload)
            if reply.family in VERSIONS and _name(fields.get(1, b"")) == TABLE:
                found.add((VERSIONS[reply.family], _name(fields.get(2, b""))))
        return found

    def elements(self, sets: set[tuple[int, str]]) -> ActiveSet:
        """Return what those of the sets hold that are ours to fill."""
        found: list[Element] = []
        for measure, specs in SETS.items():
            for spec in specs:
                for version in FAMILIES:
                    raws, now = self._dump(version, spec.name, sets)
                    found += content.elements_of(measure, version, spec, raws, now)
        return gather(found)

    def allowed(self, sets: set[tuple[int, str]]) -> list[Span]:
        """Return what the allow sets hold, in order."""
        found: list[Span] = []
        for version in FAMILIES:
            raws, _now = self._dump(version, ALLOW.name, sets)
            found += (span for span, _raw in content.spans_of(version, raws))
        return sorted(found)

    def ports(self, sets: set[tuple[int, str]]) -> list[int]:
        """Return what the port sets hold, in order."""
        raws = [raw for version in FAMILIES for raw in self._dump(version, PORTS.name, sets)[0]]
        return sorted({int.from_bytes(raw.key, "big") for raw in raws})

    def _dump(
        self, version: int, name: str, sets: set[tuple[int, str]]
    ) -> tuple[list[RawElement], float]:
        """Return a set's entries, and the time half way through the dump."""
        if (version, name) not in sets:
            return [], 0.0
        asked = Message(Msg.GETSETELEM, FAMILIES[version], text(1, TABLE) + text(2, name))
        begun = self._clock()
        replies = self._socket.ask(asked)
        now = (begun + self._clock()) / 2
        return [raw for reply in replies for raw in raw_elements(reply)], now

    def entries(self, queries: Sequence[Message]) -> Iterator[tuple[RawElement | None, float]]:
        """Yield the entry that each query finds, and the time of the answer."""
        for answer in self._socket.ask_each(queries):
            raw = next(raw_elements(answer), None) if isinstance(answer, Reply) else None
            yield raw, self._clock()

    def look_up(self, elements: Sequence[Element]) -> Iterator[tuple[Element, Element | None]]:
        """Yield each element with what the kernel holds where it starts."""
        if len(elements) > DUMP_FROM:
            dumped = self.elements(self.sets()).held
            yield from ((e, dumped[e.measure].get(e.span)) for e in elements)
            return
        networks = [e for e in elements if not e.span.is_host]
        starts = self.entries([content.query(e) for e in elements])
        found = dict(zip(elements, starts, strict=True))
        closing = self.entries([content.query(e, end=True) for e in networks])
        ends = {e: raw for e, (raw, _ts) in zip(networks, closing, strict=True)}
        for e, (start, now) in found.items():
            spec = layout.spec_of(e.measure, e.span)
            entries = [raw for raw in (start, ends.get(e)) if raw]
            held = content.elements_of(e.measure, e.span.version, spec, entries, now)
            yield e, next(held, None)

    def counters(self, elements: Iterable[Element]) -> dict[tuple[Measure, Span], Traffic]:
        """Return what the counters of those of the elements say that are held and have one."""
        found: dict[tuple[Measure, Span], Traffic] = {}
        for group in count.groups(e for e in elements if count.is_counted(e)):
            rest: Sequence[Element] = group
            while rest:
                answers = self._socket.ask_several(count.query(rest))
                for e, answer in zip(rest, answers, strict=False):
                    traffic = count.count_of(e, answer)
                    if traffic is not None:
                        found[e.measure, e.span] = traffic
                rest = rest[len(answers) + 1 :]  # the one that stopped it has lapsed
        return found

    def totals(self) -> dict[Measure, Traffic]:
        """Return what our rules counted."""
        return count.counted_by(r for v in FAMILIES for r in self._socket.ask(count.rules_query(v)))

    def generation(self) -> int:
        """Return the number of the ruleset's latest change, in 32 bits."""
        (answer,) = self._socket.ask_each([Message(Msg.GETGEN, 0, b"")])
        if isinstance(answer, KernelError):
            raise error_for(answer, "reading the generation", whole=True)
        return int.from_bytes(parse(answer.payload).get(1, b""), "big")

    def look(self) -> tuple[Marks, dict[tuple[int, str], int]]:
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
                        number = fields.pop(layout.SET_COUNT, None)
                        if number is not None:
                            where = VERSIONS[family], _name(fields[2])
                            counts[where] = int.from_bytes(number, "big")
                    if kind is Msg.GETRULE:
                        fields = count.without_counts(fields)
                    marks.add((int(kind), family, tuple(sorted(fields.items()))))
        return frozenset(marks), counts


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
