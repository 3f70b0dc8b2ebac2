"""Reads our tables back from the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from excise.decide.plan import ActiveSet, Element, Span, gather
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.nft_elem import RawElement, raw_elements
from excise.enforce.nft_layout import (
    ALLOW,
    FAMILIES,
    GUARD_ALLOW,
    GUARDED,
    PORTS,
    SETS,
    TABLE,
    VERSIONS,
    SetSpec,
)
from excise.enforce.nft_socket import NftSocket, error_for
from excise.enforce.nft_wire import KernelError, Message, Msg, Reply, parse, text
from excise.errors import ForeignTableError

#: more elements than this are read back quicker by a dump of the sets than one by one
DUMP_FROM = 2_000

#: NFPROTO_INET, _IPV4, _IPV6 → the IP versions of a chain there
NAT_REACH = {1: (4, 6), FAMILIES[4]: (4,), FAMILIES[6]: (6,)}

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

    def guards(self, sets: set[tuple[int, str]]) -> content.Guards:
        """Return what the guard sets hold."""
        return content.Guards(
            allow=self._spans(ALLOW, sets),
            ports=self._ports(PORTS, sets),
            shut=self._ports(GUARDED, sets),
            shut_allow=self._spans(GUARD_ALLOW, sets),
        )

    def holds(self, wanted: content.Guards) -> bool:
        """Whether the guard sets of both tables hold exactly this."""
        sets = self.sets()
        spans = {ALLOW: wanted.allow, GUARD_ALLOW: wanted.shut_allow}
        ports = {PORTS: wanted.ports, GUARDED: wanted.shut}
        return all(self._spans(spec, sets) == held for spec, held in spans.items()) and all(
            self._ports(spec, sets, [version]) == held
            for spec, held in ports.items()
            for version in FAMILIES
        )

    def nat(self) -> frozenset[int]:
        """Return the versions whose addresses some chain of type nat may rewrite."""
        found: set[int] = set()
        for reply in self._socket.ask(Message(Msg.GETCHAIN, 0, b"")):
            if _name(parse(reply.payload).get(7, b"")) == "nat":  # NFTA_CHAIN_TYPE
                found |= set(NAT_REACH.get(reply.family, ()))
        return frozenset(found)

    def _spans(self, spec: SetSpec, sets: set[tuple[int, str]]) -> tuple[Span, ...]:
        found: list[Span] = []
        for version in FAMILIES:
            raws, _now = self._dump(version, spec.name, sets)
            found += (span for span, _raw in content.spans_of(version, raws))
        return tuple(sorted(found))

    def _ports(
        self, spec: SetSpec, sets: set[tuple[int, str]], versions: Iterable[int] = FAMILIES
    ) -> tuple[int, ...]:
        raws = [raw for version in versions for raw in self._dump(version, spec.name, sets)[0]]
        return tuple(sorted({int.from_bytes(raw.key, "big") for raw in raws}))

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
                        count = fields.pop(layout.SET_COUNT, None)
                        if count is not None:
                            where = VERSIONS[family], _name(fields[2])
                            counts[where] = int.from_bytes(count, "big")
                    marks.add((int(kind), family, tuple(sorted(fields.items()))))
        return frozenset(marks), counts


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
