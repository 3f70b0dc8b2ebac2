"""What is scored: a client, a subnet, an account, a use of an account, a stack, a template."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of entity.

    A *client* is a v4 address or a v6 /64: inside a /64 a host names itself as it likes
    (RFC 8981), so a /128 is no identity. A *subnet* is a v4 /24, a v6 /56 or a v6 /48.
    A *use* is an account through one client stack: a stolen key shows as a new use of it.
    A *campaign* is a group of accounts that are driven as one (see `campaigns`); it is found, not
    read from a record, and has no table.
    """

    CLIENT = "client"
    SUBNET = "subnet"
    ACCOUNT = "account"
    USE = "use"
    STACK = "stack"
    TEMPLATE = "template"
    CAMPAIGN = "campaign"


#: kinds that records name, each with a table of its own
TABLED = tuple(kind for kind in Kind if kind is not Kind.CAMPAIGN)


class Family(StrEnum):
    """Families of evidence; each one's share in a score is capped."""

    VOLUME = "volume"
    SHAPE = "shape"
    TEMPLATE = "template"
    GRAPH = "graph"
    NETWORK = "network"
    TIME = "time"
    API = "api"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """One scored thing: its kind and its name (canonical CIDR, account id, …)."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"
