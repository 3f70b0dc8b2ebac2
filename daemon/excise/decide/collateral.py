"""Collateral: how much honest traffic stands behind a target.

Behind a client stand accounts. The culprits are those with evidence of their own and, where the
client itself is accused, those that, heaviest first, carry nine tenths of its output: a client that
is scored for its volume is scored for them. The rest is honest. Both shares of the rest count, of
tokens and of accounts, because a harvester in an office carries nearly all tokens and is one
account of thirty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: share of a client's output that its culprits explain
EXPLAINED = 0.9
#: fewer honest accounts than this behind an accused client are not told apart from noise
LEAST_HONEST = 3


@dataclass(frozen=True, slots=True)
class Party:
    """One account (or use) behind a client: its output tokens there, and whether it is guilty.

    Parties of one `campaign` are one actor, however many accounts it has made.
    """

    name: int
    output: float
    guilty: bool
    campaign: int = 0


@dataclass(frozen=True, slots=True)
class Collateral:
    """Who carries a client's traffic: culprits, and the honest share of tokens and accounts."""

    culprits: tuple[int, ...]
    honest: int
    honest_tokens: float
    honest_accounts: float

    @property
    def share(self) -> float:
        """The worse of the two shares."""
        return max(self.honest_tokens, self.honest_accounts)


def behind(parties: Sequence[Party], *, accused: bool) -> Collateral:
    """Tell culprits from honest parties; `parties` come heaviest first.

    `accused`: the client has evidence of its own, which its heaviest parties must answer for.
    """
    total = sum(p.output for p in parties)
    culprits: list[int] = []
    explained, honest_tokens, honest = 0.0, 0.0, 0
    fleet = any(p.campaign for p in parties)
    for p in parties:
        if p.guilty or (accused and explained < EXPLAINED * total):
            culprits.append(p.name)
            explained += p.output
        elif p.output > 0 or not fleet:  # a fleet's own probe of an address is no honest party
            honest += 1
            honest_tokens += p.output
    if not parties or (accused and honest < LEAST_HONEST):
        return Collateral(tuple(culprits), honest, 0.0, 0.0)
    actors = honest + len({p.campaign or -p.name - 1 for p in parties if p.name in culprits})
    return Collateral(
        tuple(culprits), honest, honest_tokens / total if total else 0.0, honest / actors
    )
