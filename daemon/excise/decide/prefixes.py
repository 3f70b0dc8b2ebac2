"""The narrowest prefix that explains a set of guilty clients.

A prefix is taken when enough distinct guilty clients live in it and hardly anybody else does.
One wider than a site (v4 /24, v6 /48) must also be well filled: a quarter of its sites guilty,
at least three, so that a walk through a block is met by growing prefixes, and two bad hosts in
one /16 never cost the /16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from excise.model.settings import Governor, Policy

SITE = {4: 24, 6: 48}
FIRST = {4: 30, 6: 60}
STEP = {4: 1, 6: 4}
LEAST_SITES = 3
FILLED = 0.25


@dataclass(frozen=True, slots=True)
class Prefix:
    """`bits` of a v4 address, or of the upper 64 bits of a v6 one; `length` in the family's own."""

    version: int
    bits: int
    length: int

    @property
    def text(self) -> str:
        """Canonical CIDR."""
        import ipaddress  # noqa: PLC0415 - value type: cheap to make, rarely printed

        if self.version == 4:
            return str(ipaddress.IPv4Network((self.bits, self.length)))
        return str(ipaddress.IPv6Network((self.bits << 64, self.length)))


def cut(version: int, bits: int, length: int) -> Prefix:
    """Return the prefix of a client's bits."""
    shift = (32 if version == 4 else 64) - length
    return Prefix(version, bits >> shift << shift, length)


@dataclass(slots=True)
class Guilty:
    """The guilty clients, counted under every prefix length that may be decided on."""

    members: dict[Prefix, set[int]] = field(default_factory=lambda: defaultdict(set))
    sites: dict[Prefix, set[int]] = field(default_factory=lambda: defaultdict(set))

    def lengths(self, version: int, limits: Governor) -> range:
        """Return prefix lengths from narrow to wide."""
        widest = limits.min_prefix_v4 if version == 4 else limits.min_prefix_v6
        return range(FIRST[version], widest - 1, -STEP[version])

    def add(self, version: int, bits: int, limits: Governor) -> None:
        """Count a guilty client."""
        site = cut(version, bits, SITE[version]).bits
        for length in self.lengths(version, limits):
            prefix = cut(version, bits, length)
            self.members[prefix].add(bits)
            if length < SITE[version]:
                self.sites[prefix].add(site)

    def discard(self, version: int, bits: int, limits: Governor) -> None:
        """Forget a client; sites are recounted from the members that remain."""
        for length in self.lengths(version, limits):
            prefix = cut(version, bits, length)
            members = self.members.get(prefix)
            if members is None:
                continue
            members.discard(bits)
            if not members:
                del self.members[prefix]
                self.sites.pop(prefix, None)
            elif length < SITE[version]:
                self.sites[prefix] = {cut(version, b, SITE[version]).bits for b in members}

    def all(self) -> list[tuple[int, int]]:
        """Return every guilty client as (version, bits)."""
        longest = {p for p in self.members if p.length == FIRST[p.version]}
        return sorted((p.version, bits) for p in longest for bits in self.members[p])

    def narrowest(
        self,
        version: int,
        bits: int,
        policy: Policy,
        limits: Governor,
        honest: Callable[[Prefix], float],
    ) -> Prefix | None:
        """Return the prefix around a client that explains its guilty neighbours, if one does.

        `honest` gives the share of a prefix's clients that are not guilty. Narrow ones come
        first; a wider one replaces it only where several sites are guilty.
        """
        best: Prefix | None = None
        for length in self.lengths(version, limits):
            prefix = cut(version, bits, length)
            if len(self.members.get(prefix, ())) < policy.subnet_members:
                continue
            if length < SITE[version]:
                sites = len(self.sites[prefix])
                room = 1 << (SITE[version] - length)
                if sites < max(LEAST_SITES, FILLED * room):
                    continue
            elif best is not None and len(self.members[best]) == len(self.members[prefix]):
                continue
            if honest(prefix) <= 1.0 - policy.subnet_guilty:
                best = prefix
        return best
