"""Which sets there are, what they are called, and which entries a span becomes. Pure.

A rate belongs to a rule of iptables, not to an entry, so there is a set for every measure and
rate. A rule's bucket is an address cut to a mask, so networks are further told apart by the mask
whose bucket they share: the longest one that holds all of the network. Two throttled networks
of one rate within the same masked network share its bucket; alone, each has exactly its rate.
What is not in a set is never charged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from excise.decide.plan import Measure
from excise.decide.span import Span
from excise.enforce.ipset_wire import BITS, Kind, key_of
from excise.model.decision import Tier

VERSIONS = (4, 6)
#: prefix lengths of the buckets that networks share, from narrow to wide; 0 takes all the rest
MASKS = {4: (28, 24, 20, 16, 0), 6: (64, 56, 48, 40, 0)}
WORDS = {Measure.EGRESS: "egr", Measure.INGRESS: "igr", Measure.CONNECTIONS: "newc"}
MEASURES = {word: measure for measure, word in WORDS.items()}
TEMPORARY = ".new"  # 31 characters are the most that a name may have
_NAME = re.compile(
    r"excise(?P<version>[46])-"
    r"(?:(?P<plain>allow|block-net|block|net)"
    r"|(?P<word>egr|igr|newc)-(?P<rate>\d+)(?:-(?P<mask>\d+))?)"
)


@dataclass(frozen=True, slots=True)
class SetSpec:
    """One set. `role` is allow, ports, block, block-net, net, or a throttle: egr, igr, newc.

    Throttles have the `rate` of their measure's unit; `mask` is None where they hold addresses.
    `net` holds all throttled networks, so that one look tells that a packet is of none.
    """

    version: int
    role: str
    rate: int = 0
    mask: int | None = None

    @property
    def name(self) -> str:
        """The set's name in the kernel."""
        if self.version == 0:
            return f"excise-{self.role}"
        parts = [f"excise{self.version}", self.role]
        if self.rate:
            parts.append(str(self.rate))
        if self.mask is not None:
            parts.append(str(self.mask))
        return "-".join(parts)

    @property
    def kind(self) -> Kind:
        """What it is made of."""
        if self.role == "ports":
            return Kind("bitmap:port", 0, timed=False)
        if self.role == "allow":
            return Kind("hash:net", self.version, timed=False)
        if self.role == "block":
            return Kind("hash:ip", self.version)
        if self.role == "net":
            return Kind("hash:net", self.version)
        typename = "hash:net" if self.mask is not None or self.role == "block-net" else "hash:ip"
        return Kind(typename, self.version, counted=True)

    @property
    def measure(self) -> Measure | None:
        """What happens to what it holds; None for guards and for `net`."""
        return Measure.DROP if self.role in {"block", "block-net"} else MEASURES.get(self.role)

    @property
    def is_network(self) -> bool:
        """Whether it holds networks under a measure."""
        return self.role == "block-net" or self.mask is not None

    @property
    def is_gated(self) -> bool:
        """Whether what it holds must be in `net` as well for a rule to find it."""
        return self.mask is not None


PORTS = SetSpec(0, "ports")
ALLOW = {version: SetSpec(version, "allow") for version in VERSIONS}
#: by version: all throttled networks
GATE = {version: SetSpec(version, "net") for version in VERSIONS}


def parse_name(name: str) -> SetSpec | None:
    """Return the set of a name, None for one that is not ours."""
    if name == PORTS.name:
        return PORTS
    match = _NAME.fullmatch(name)
    if not match:
        return None
    version, mask = int(match["version"]), match["mask"]
    if match["plain"]:
        return SetSpec(version, match["plain"])
    return SetSpec(version, match["word"], int(match["rate"]), int(mask) if mask else None)


def rates_of(tiers: Iterable[Tier]) -> dict[Measure, list[int]]:
    """Return the rates that the tiers use, strictest first, in the unit of their measure."""
    found: dict[Measure, set[int]] = {measure: set() for measure in WORDS}
    for tier in tiers:
        for measure, rate in tier_rates(tier):
            found[measure].add(rate)
    return {measure: sorted(rates) for measure, rates in found.items()}


def tier_rates(tier: Tier) -> Iterator[tuple[Measure, int]]:
    """Yield a tier's limits."""
    if tier.egress_bytes_s is not None:
        yield Measure.EGRESS, max(1, tier.egress_bytes_s)
    if tier.ingress_bytes_s is not None:
        yield Measure.INGRESS, max(1, tier.ingress_bytes_s)
    if tier.new_connections_per_min is not None:
        yield Measure.CONNECTIONS, max(1, round(tier.new_connections_per_min * 60))


def standing(tiers: Sequence[Tier]) -> list[SetSpec]:
    """Return the sets that are there even when empty, since the rules refer to them."""
    found = [PORTS]
    for version in VERSIONS:
        found += [ALLOW[version], SetSpec(version, "block"), SetSpec(version, "block-net")]
        found.append(GATE[version])
        for measure, rates in rates_of(tiers).items():
            for rate in rates:
                found += throttles(version, measure, rate)
    return found


def throttles(version: int, measure: Measure, rate: int) -> Iterator[SetSpec]:
    """Yield the sets of one rate: that of addresses, then those of networks."""
    for mask in (None, *MASKS[version]):
        yield SetSpec(version, WORDS[measure], rate, mask)


def spec_of(measure: Measure, span: Span, rate: int) -> SetSpec:
    """Return the set in which a span is held."""
    if measure is Measure.DROP:
        return SetSpec(span.version, "block" if span.is_host else "block-net")
    mask = None if span.is_host else mask_of(span)
    return SetSpec(span.version, WORDS[measure], rate, mask)


def mask_of(span: Span) -> int:
    """Return the longest of the masks that keeps a span in one piece."""
    common = BITS[span.version] - (span.start ^ span.end).bit_length()
    return next(mask for mask in MASKS[span.version] if mask <= common)


def cidrs(span: Span) -> Iterator[int]:
    """Yield the keys of the fewest CIDRs that make up a span; the kernel knows no /0."""
    bits, start = BITS[span.version], span.start
    while start <= span.end:
        most = min(start & -start or 1 << bits, 1 << (bits - 1))
        size = min(most, 1 << ((span.end - start + 1).bit_length() - 1))
        yield key_of(start, bits - size.bit_length() + 1)
        start += size


def span_of(version: int, key: int) -> Span:
    """Return the span of one key."""
    start, prefix = key >> 8, key & 0xFF
    return Span(version, start, start + (1 << (BITS[version] - prefix)) - 1)
