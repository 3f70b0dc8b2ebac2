"""Reads our tables back from the kernel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from excise.decide.plan import Element, Measure
from excise.decide.span import Span
from excise.enforce import nft_content as content
from excise.enforce import nft_count as count
from excise.enforce import nft_layout as layout
from excise.enforce import nft_sieve as sieve
from excise.enforce.base import Traffic
from excise.enforce.nft_check import Ruleset
from excise.enforce.nft_elem import RawElement, keys_of, raw_elements
from excise.enforce.nft_layout import (
    ALLOW,
    FAMILIES,
    GUARD_ALLOW,
    GUARDED,
    NEAR,
    NETWORKS,
    PORTS,
    SETS,
    TABLE,
    VERSIONS,
    Name,
    SetSpec,
)
from excise.enforce.nft_socket import NftSocket, error_for
from excise.enforce.nft_wire import KernelError, Message, Msg, Reply, parse, text
from excise.errors import ForeignTableError

#: NFPROTO_INET, _IPV4, _IPV6 → the IP versions of a chain there
NAT_REACH = {1: (4, 6), FAMILIES[4]: (4,), FAMILIES[6]: (6,)}


@dataclass(frozen=True, slots=True)
class Look:
    """Our tables as they are, and how many entries each set counts (nothing before 6.16)."""

    ruleset: Ruleset
    counts: Mapping[Name, int]

    @property
    def chains(self) -> set[Name]:
        """Return the chains that are there."""
        return {(VERSIONS[family], _name(fields[3])) for family, fields in self.ruleset.chains}

    @property
    def sets(self) -> set[Name]:
        """Return the sets that are there."""
        return {(VERSIONS[family], _name(fields[2])) for family, fields in self.ruleset.sets}


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

    def sets(self) -> set[Name]:
        """Return (version, name) of the sets in our tables."""
        return {
            (VERSIONS[family], _name(fields.get(2, b"")))
            for family, fields in self._ours(Msg.GETSET)
        }

    def elements(self, sets: Container[Name]) -> Iterator[Element]:
        """Yield what those of the sets hold that are ours to fill."""
        for version in VERSIONS.values():
            for measure, shelves in SETS.items():
                for spec in shelves.of(version):
                    replies, now = self._dump(version, spec.name, sets)
                    if spec.limited or spec.interval:
                        raws = [raw for reply in replies for raw in raw_elements(reply)]
                        yield from content.elements_of(measure, version, spec, raws, now)
                    else:
                        yield from content.dropped_of(version, spec, replies, now)

    def guards(self, sets: Container[Name]) -> content.Guards:
        """Return what the guard sets hold."""
        return content.Guards(
            allow=self._spans(ALLOW, sets),
            ports=self._ports(PORTS, sets),
            shut=self._ports(GUARDED, sets),
            shut_allow=self._spans(GUARD_ALLOW, sets),
        )

    def holds(self, wanted: content.Guards, sets: Container[Name]) -> bool:
        """Whether the guard sets of both tables hold exactly this."""
        spans = {ALLOW: wanted.allow, GUARD_ALLOW: wanted.shut_allow}
        ports = {PORTS: wanted.ports, GUARDED: wanted.shut}
        return all(self._spans(spec, sets) == held for spec, held in spans.items()) and all(
            self._ports(spec, sets, [version]) == held
            for spec, held in ports.items()
            for version in FAMILIES
        )

    def near(self, sets: Container[Name]) -> dict[int, set[int]]:
        """Return the leading bits that the sieve lets on, by IP version."""
        found: dict[int, set[int]] = {}
        for version in FAMILIES:
            its = (sieve.part_of(version, a) for a, _ in self._keys(version, NEAR.name, sets))
            found[version] = {number for number in its if number is not None}
        return found

    def networks(self, sets: Collection[Name]) -> dict[Name, list[Span]]:
        """Return what those of the sets hold that are of networks; no set that holds nothing."""
        found: dict[Name, list[Span]] = {}
        for version, name in NETWORKS.intersection(sets):
            keys = self._keys(version, name, sets)
            # what one network ends at may be where the next begins
            keys.sort(key=lambda key: (key[0], not key[1]))
            if spans := list(sieve.spans(version, keys)):
                found[version, name] = spans
        return found

    def nat(self) -> frozenset[int]:
        """Return the versions whose addresses some chain of type nat may rewrite."""
        found: set[int] = set()
        for reply in self._socket.ask(Message(Msg.GETCHAIN, 0, b"")):
            if _name(parse(reply.payload).get(7, b"")) == "nat":  # NFTA_CHAIN_TYPE
                found |= set(NAT_REACH.get(reply.family, ()))
        return frozenset(found)

    def _spans(self, spec: SetSpec, sets: Container[Name]) -> tuple[Span, ...]:
        found: list[Span] = []
        for version in FAMILIES:
            raws = self._raws(version, spec, sets)
            found += (span for span, _raw in content.spans_of(version, raws))
        return tuple(sorted(found))

    def _ports(
        self, spec: SetSpec, sets: Container[Name], versions: Iterable[int] = FAMILIES
    ) -> tuple[int, ...]:
        raws = (raw for version in versions for raw in self._raws(version, spec, sets))
        return tuple(sorted({int.from_bytes(raw.key, "big") for raw in raws}))

    def _raws(self, version: int, spec: SetSpec, sets: Container[Name]) -> list[RawElement]:
        replies, _now = self._dump(version, spec.name, sets)
        return [raw for reply in replies for raw in raw_elements(reply)]

    def _keys(self, version: int, name: str, sets: Container[Name]) -> list[tuple[int, bool]]:
        replies, _now = self._dump(version, name, sets)
        return [key for reply in replies for key in keys_of(parse(reply.payload).get(3, b""))]

    def _dump(self, version: int, name: str, sets: Container[Name]) -> tuple[list[Reply], float]:
        """Return the answers that tell a set's entries, and the time half way through."""
        if (version, name) not in sets:
            return [], 0.0
        asked = Message(Msg.GETSETELEM, FAMILIES[version], text(1, TABLE) + text(2, name))
        begun = self._clock()
        replies = self._socket.ask(asked)
        return replies, (begun + self._clock()) / 2

    def entries(self, queries: Sequence[Message]) -> Iterator[tuple[RawElement | None, float]]:
        """Yield the entry that each query finds, and the time of the answer."""
        for answer in self._socket.ask_each(queries):
            raw = next(raw_elements(answer), None) if isinstance(answer, Reply) else None
            yield raw, self._clock()

    def look_up(self, elements: Sequence[Element]) -> Iterator[tuple[Element, Element | None]]:
        """Yield each element with what the kernel holds where it starts."""
        networks = [e for e in elements if content.is_network(e)]
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

    def look(self) -> Look:
        """Return how our tables are."""
        sets = list(self._ours(Msg.GETSET))
        counts: dict[Name, int] = {}
        for family, fields in sets:
            number = fields.get(layout.SET_COUNT)
            if number is not None:
                counts[VERSIONS[family], _name(fields[2])] = int.from_bytes(number, "big")
        tables, chains = list(self._ours(Msg.GETTABLE)), list(self._ours(Msg.GETCHAIN))
        return Look(Ruleset(tables, chains, sets, list(self._ours(Msg.GETRULE))), counts)

    def _ours(self, kind: Msg) -> Iterator[tuple[int, dict[int, bytes]]]:
        """Yield (family, attributes) of what our tables have of a kind."""
        only_ours = text(1, TABLE) if kind is Msg.GETRULE else b""
        for family in VERSIONS:
            for reply in self._socket.ask(Message(kind, family, only_ours)):
                fields = parse(reply.payload)
                if _name(fields.get(1, b"")) == TABLE:
                    yield family, fields


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
