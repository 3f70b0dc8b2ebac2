"""What the benches of the kernel plane put into it, and how they watch each transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from excise.daemon.converge import Converger, Outcome, Wish
from excise.daemon.roll import Roll
from excise.decide.plan import Element, Measure
from excise.decide.span import Span, parse_span
from excise.enforce.nft_socket import NftSocket
from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.settings import DEFAULT_TIERS

HOUR_S = 3600.0
PORTS = (443,)
FIRST_HOST = parse_span("10.0.0.1").start
FIRST_NETWORK = parse_span("198.18.0.0").start
#: hosts and networks that are added one by one lie apart from those that were there before
APART = parse_span("100.64.0.0").start


def host(number: int, first: int = FIRST_HOST) -> Span:
    """Return the n-th address."""
    return Span(4, first + number, first + number)


def network(number: int, first: int = FIRST_NETWORK) -> Span:
    """Return the n-th /28, with a gap behind each, so that none can be merged."""
    start = first + 32 * number
    return Span(4, start, start + 15)


def drops(count: int, until: float) -> list[Element]:
    """Return dropped hosts."""
    return [Element(Measure.DROP, host(n), 0, until) for n in range(count)]


def networks(count: int, until: float) -> list[Element]:
    """Return dropped networks."""
    return [Element(Measure.DROP, network(n), 0, until) for n in range(count)]


def decision(span: Span, *, tier: str | None = None, until: float) -> Decision:
    """Return a decision to drop a span, or to throttle it with a tier."""
    action = Action.THROTTLE if tier else Action.DROP
    return Decision(
        id=f"d{span.start:x}-{span.end:x}",
        plane=Plane.NETWORK,
        target=str(span),
        action=action,
        tier=tier,
        since=until - HOUR_S,
        until=until,
        score=70.0,
        rules=("volume.bench",),
        reason="bench",
    )


class Rounds:
    """A Roll and a Converger, used as the daemon's reconciler uses them."""

    def __init__(self, converger: Converger, decisions: list[Decision]) -> None:
        self.converger = converger
        self.roll = Roll(decisions)

    def wish(self) -> Wish:
        """Return what the kernel should be made from now."""
        return Wish(self.roll.census(), DEFAULT_TIERS, (), PORTS, time.time())

    def turn(self) -> Outcome:
        """Do one round."""
        return self.converger.converge(self.wish())

    def note(self, op: Op, what: Decision) -> None:
        """Let a decision change."""
        self.roll.note(DecisionEvent(time.time(), op, what))


@contextmanager
def timed_commits() -> Iterator[list[float]]:
    """Collect the seconds of each transaction, from sending to its acknowledgement."""
    really = NftSocket.commit
    taken: list[float] = []

    def commit(self: NftSocket, *args: object, **named: object) -> object:
        begun = time.perf_counter()
        try:
            return really(self, *args, **named)
        finally:
            taken.append(time.perf_counter() - begun)

    NftSocket.commit = commit
    try:
        yield taken
    finally:
        NftSocket.commit = really
