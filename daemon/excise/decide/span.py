"""Ranges of addresses, and finding those within others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range

import msgspec

BITS = {4: 32, 6: 128}
SLASH64 = (1 << 64) - 1
#: a block of the index is a v4 /24 or a v6 /56: 256 clients
BLOCK_BITS = {4: 8, 6: 72}


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """Addresses `start` to `end`, both included, as integers of IP `version` 4 or 6."""

    version: int
    start: int
    end: int

    @property
    def is_host(self) -> bool:
        """Whether it is a single address."""
        return self.start == self.end

    @property
    def is_slash64(self) -> bool:
        """Whether it is exactly one IPv6 /64, which is what a v6 client is to us."""
        return self.version == 6 and self.end - self.start == SLASH64 and not self.start & SLASH64

    def covers(self, other: Span) -> bool:
        """Whether every address of `other` lies within."""
        return self.version == other.version and self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        kind = IPv4Address if self.version == 4 else IPv6Address
        first, last = kind(self.start), kind(self.end)
        nets = list(summarize_address_range(first, last))
        return str(nets[0]) if len(nets) == 1 else f"{first}-{last}"


def parse_span(text: str) -> Span:
    """Return the span of an address or a CIDR in text; host bits are ignored."""
    address, slash, prefix = text.partition("/")
    if prefix == "32" and ":" not in address:
        start = int(IPv4Address(address))
        return Span(4, start, start)
    if not slash and ":" not in address:
        start = int(IPv4Address(address))
        return Span(4, start, start)
    network = ip_network(text, strict=False)
    return Span(network.version, int(network.network_address), int(network.broadcast_address))


def merged(texts: Iterable[str]) -> list[Span]:
    """Return disjoint spans, in order, that cover exactly the networks in text."""
    out: list[Span] = []
    for span in sorted(map(parse_span, texts)):
        last = out[-1] if out else None
        if last and last.version == span.version and span.start <= last.end + 1:
            out[-1] = Span(span.version, last.start, max(last.end, span.end))
        else:
            out.append(span)
    return out


class SpanIndex:
    """A set of spans that finds those within another without looking at all of them.

    Spans are kept by the block that holds them; those that reach over more than one block are
    few, and kept together.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        # tuples: most blocks hold one span, and a tuple of one is small
        self._blocks: dict[tuple[int, int], tuple[Span, ...]] = {}
        self._wide: dict[Span, None] = {}
        for span in spans:
            self.add(span)

    def add(self, span: Span) -> None:
        """Add a span; adding it again changes nothing."""
        block = _block(span)
        if block is None:
            self._wide[span] = None
            return
        held = self._blocks.get(block, ())
        if span not in held:
            self._blocks[block] = (*held, span)

    def discard(self, span: Span) -> None:
        """Remove a span if it is there."""
        block = _block(span)
        if block is None:
            self._wide.pop(span, None)
            return
        left = tuple(one for one in self._blocks.get(block, ()) if one != span)
        if left:
            self._blocks[block] = left
        else:
            self._blocks.pop(block, None)

    def within(self, outer: Span) -> Iterator[Span]:
        """Yield the spans that `outer` covers."""
        block = _block(outer)
        if block is not None:
            yield from (span for span in self._blocks.get(block, ()) if outer.covers(span))
            return
        yield from (span for span in self._wide if outer.covers(span))
        shift = BLOCK_BITS[outer.version]
        first, last = outer.start >> shift, outer.end >> shift
        blocks: Iterable[tuple[int, int]] = self._blocks
        if last - first < len(self._blocks):
            blocks = ((outer.version, number) for number in range(first, last + 1))
        for version, number in blocks:
            if version == outer.version and first <= number <= last:
                spans = self._blocks.get((version, number), ())
                yield from (span for span in spans if outer.covers(span))


def _block(span: Span) -> tuple[int, int] | None:
    shift = BLOCK_BITS[span.version]
    number = span.start >> shift
    return (span.version, number) if number == span.end >> shift else None


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Return the spans, in order, that no other one covers. They must nest or be apart."""
    outer: list[Span] = []
    # wider first where two begin at the same address
    for span in sorted(spans, key=lambda s: (s.version, s.start, -s.end)):
        if not (outer and outer[-1].covers(span)):
            outer.append(span)
    return outer
