"""Which of our sets hold something, and how many entries each must have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from excise.decide.holding import Holding
from excise.decide.plan import TOLERANCE_S, Element
from excise.decide.span import BITS
from excise.enforce import nft_layout as layout
from excise.enforce.nft_layout import NETWORKS, OURS, VERSIONS, Name
from excise.enforce.nft_wire import Message, Msg, parse

#: a set's name, None for what the kernel does not count as one entry
Shelf = Name | None


def shelf(e: Element) -> Shelf:
    """Return the set that counts an element as one entry."""
    spec, span = layout.spec_of(e.measure, e.span), e.span
    if spec.interval and span.end == (1 << BITS[span.version]) - 1:
        return None  # the kernel counts pairs of entries, and this one has no closing one
    return span.version, spec.name


def lacks(held: Holding[Shelf], counts: Mapping[Name, int], now: float) -> bool:
    """Whether a set counts fewer entries than it must have; unknown before 6.16."""
    held.expire(now + TOLERANCE_S)
    due = held.counts.items()
    return any(counts.get(where, number) < number for where, number in due if where)


def filled(messages: Iterable[Message]) -> frozenset[Name]:
    """Return the sets of measures that messages put something into."""
    found = set[Name]()
    for message in messages:
        if message.type is Msg.NEWSETELEM:
            fields = parse(message.payload)
            found.add((VERSIONS[message.family], fields[2].rstrip(b"\0").decode()))
    return OURS & found


def holding(
    counts: Mapping[Name, int], sets: AbstractSet[Name], networks: Iterable[Name]
) -> frozenset[Name]:
    """Return the sets of measures that hold something, of which `networks` are those of networks.

    Of a network up to the end of the address space the kernel's count tells nothing. Where it
    counts nothing at all, all sets of addresses may hold something.
    """
    clients = (OURS - NETWORKS) & sets
    return frozenset(where for where in clients if counts.get(where, 1)).union(networks)
