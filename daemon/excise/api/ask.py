"""What the API is asked, as values: path, query and body of a route make one of these.

An unknown key is an error, so a mistyped filter never shows everything.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from excise.model.duration import parse_duration

Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
ActionName = Literal["observe", "throttle", "drop", "deny"]
PostureName = Literal["observe", "throttle", "enforce"]
PlaneName = Literal["network", "account"]


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class DecisionsAsk(Ask, frozen=True):
    """Filters; those given must all hold. `target` also takes a plain address."""

    plane: PlaneName | None = None
    action: ActionName | None = None
    target: str | None = None
    campaign: str | None = None


class IdAsk(Ask, frozen=True):
    """One thing by its id."""

    id: str


class LiftAsk(Ask, frozen=True):
    """All decisions on a target: address, CIDR or account id."""

    target: str


class PlaceAsk(Ask, frozen=True):
    """An operator's decision. `for` is a duration such as `1h`; `force` overrides vetoes."""

    target: str
    action: ActionName
    duration: str = msgspec.field(name="for")
    reason: str
    tier: str | None = None
    force: bool = False


class SourcesAsk(Ask, frozen=True):
    """Which of the two kinds, and how many."""

    kind: Literal["client", "subnet"] | None = None
    limit: Limit = 100


class AccountsAsk(Ask, frozen=True):
    """How many."""

    limit: Limit = 100


class CidrAsk(Ask, frozen=True):
    """One address or network; the slash may be written `%2F`."""

    cidr: str


class AllowAsk(Ask, frozen=True):
    """A network to allow, for good or `for` a duration."""

    cidr: str
    duration: str | None = msgspec.field(name="for", default=None)


class PostureAsk(Ask, frozen=True):
    """The posture to take."""

    posture: PostureName


def seconds_of(duration: str | None) -> float | None:
    """Return the seconds of a duration, None for good. Raises InvalidError."""
    return None if duration is None else parse_duration(duration)
