"""The sieve before the sets of networks: the leading bits of all that they hold. Pure.

Nearly every packet is of an address with no network anywhere near, and a look into a set of a
thousand networks costs it four times as much as one into a hash. So rules ask the set `near`
first, which holds a v4 /16 or v6 /32, as its first address, for each network that some measure
holds. More may stand in it, never less: what a network needs goes into `near` in the same
transaction as the network, or before it, and is taken out long after the network is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from excise.decide.span import BITS, Span
from excise.enforce.nft_elem import element, elements_messages, keys_of
from excise.enforce.nft_layout import FAMILIES, NEAR, NETWORKS, TABLE, VERSIONS, Name
from excise.enforce.nft_rules import LEADING_BITS
from excise.enforce.nft_wire import Message, Msg, parse

#: with more parts than this in a table its networks are asked without a sieve: a wide one alone
#: may have billions
MOST = 4096
SHIFT = {version: BITS[version] - bits for version, bits in LEADING_BITS.items()}
#: leading bits of addresses, as numbers, by IP version
Parts = Mapping[int, AbstractSet[int]]


class Sieve:
    """What `near` is known to hold, at the least, and what is due to be put into it."""

    def __init__(self) -> None:
        self._known, self._due, self._spare = _none(), _none(), _none()

    def admit(self, networks: Iterable[Span]) -> frozenset[int]:
        """Make due what these need; return the IP versions in which that is too much."""
        wide = set()
        for version, needed in parts(networks).items():
            new = set() if needed is None else needed - self._known[version]
            whole = len(self._known[version]) + len(new | self._due[version])
            if needed is None or (new and whole > MOST):
                wide.add(version)
            else:
                self._due[version] |= new
                self._spare[version] -= needed
        return frozenset(wide)

    def follow(self, there: Parts, networks: Iterable[Span]) -> frozenset[int]:
        """Take what the kernel holds for known; return the IP versions that can be sieved."""
        self._known, self._due, self._spare = _none(), _none(), _none()
        sieved = set()
        for version, needed in parts(networks).items():
            self._known[version] |= there[version]
            if needed is not None:
                self._due[version] |= needed - there[version]
                self._spare[version] |= there[version] - needed
                sieved.add(version)
        return frozenset(sieved)

    def holds(self, there: Parts) -> bool:
        """Whether nothing is missing from `near` that is known to have been put there."""
        return all(self._known[version] <= there[version] for version in FAMILIES)

    def due(self) -> list[Message]:
        """Return what puts in what is due."""
        return list(_messages(Msg.NEWSETELEM, self._due))

    def done(self) -> None:
        """Note that what was due is in the kernel."""
        for version in FAMILIES:
            self._known[version] |= self._due[version]
            self._due[version].clear()

    def tidy(self) -> list[Message]:
        """Forget what no network needed at the last `follow`; return what takes it out.

        It is put in before, so that what is gone meanwhile is no error.
        """
        for version in FAMILIES:
            self._known[version] -= self._spare[version]
        kinds = Msg.NEWSETELEM, Msg.DELSETELEM
        messages = [m for kind in kinds for m in _messages(kind, self._spare)]
        self._spare = _none()
        return messages


def _none() -> dict[int, set[int]]:
    return {version: set() for version in FAMILIES}


def parts(networks: Iterable[Span]) -> dict[int, set[int] | None]:
    """Return the leading bits of all addresses of these, by IP version; None for too many."""
    found: dict[int, set[int] | None] = {version: set() for version in FAMILIES}
    for span in networks:
        its, there = _leading(span), found[span.version]
        if there is not None and len(its) <= MOST:
            there.update(its)
        if there is None or len(its) > MOST or len(there) > MOST:
            found[span.version] = None
    return found


def part_of(version: int, address: int) -> int | None:
    """Return what an address in `near` stands for; None for one that no packet is cut to."""
    number = address >> SHIFT[version]
    return number if number << SHIFT[version] == address else None


def networks_in(messages: Iterable[Message]) -> list[Span]:
    """Return the networks that messages of ours put into sets of networks."""
    keys: dict[Name, list[tuple[int, bool]]] = {}
    for message in messages:
        if message.type is Msg.NEWSETELEM:
            fields = parse(message.payload)
            where = VERSIONS[message.family], fields[2].rstrip(b"\0").decode()
            if where in NETWORKS:
                # one that a message has no room left for is closed in the next
                keys.setdefault(where, []).extend(keys_of(fields.get(3, b"")))
    return [span for (version, _name), found in keys.items() for span in spans(version, found)]


def spans(version: int, keys: Iterable[tuple[int, bool]]) -> Iterator[Span]:
    """Pair addresses, of which each begins a network or is the one after its last.

    What is not closed before the next begins reaches to the end of the address space.
    """
    begun: int | None = None
    for address, is_end in keys:
        if begun is not None:
            yield Span(version, begun, address - 1 if is_end else (1 << BITS[version]) - 1)
        begun = None if is_end else address
    if begun is not None:
        yield Span(version, begun, (1 << BITS[version]) - 1)


def _leading(span: Span) -> range:
    shift = SHIFT[span.version]
    return range(span.start >> shift, (span.end >> shift) + 1)


def _messages(kind: Msg, found: Parts) -> Iterator[Message]:
    for version, numbers in found.items():
        length = BITS[version] // 8
        addresses = (number << SHIFT[version] for number in sorted(numbers))
        packed = (element(address.to_bytes(length, "big")) for address in addresses)
        yield from elements_messages(kind, FAMILIES[version], TABLE, NEAR.name, packed)
