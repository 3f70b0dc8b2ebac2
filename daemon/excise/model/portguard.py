"""Ports of the host that are shut whatever is decided: the model server's own, in plaintext."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PortGuard:
    """TCP and UDP `ports` shut to all but loopback, what always passes, and `allow` (CIDRs)."""

    ports: tuple[int, ...] = ()
    allow: tuple[str, ...] = ()


#: nothing is shut
NO_GUARD = PortGuard()
