"""Fleets: what is done about the members of campaigns, all together and as they come."""

from __future__ import annotations

from collections.abc import Callable

from excise.decide.crowd import WAVE_S, Crowd
from excise.decide.score import Score
from excise.features.state import Column
from excise.features.world import World
from excise.model.decision import Decision, Op, Origin, Plane
from excise.model.entity import Kind

Assess = Callable[[int, float], None]
End = Callable[[Decision, Op, float], None]


class Fleets:
    """Has members judged: by waves when a campaign crosses the line, then at their records.

    `settled` is until when a client need not be judged again; a member that was judged need not be
    for `quiet_s`.
    """

    def __init__(self, world: World, crowd: Crowd, settled: Column, quiet_s: float) -> None:
        self._world, self._crowd = world, crowd
        self._settled, self._quiet_s = settled, quiet_s

    def connect(self, account: Assess, client: Assess, end: End) -> None:
        """Say how accounts and clients are judged, and how a decision ends."""
        self._account, self._client, self._end = account, client, end

    def campaign_of(self, score: Score, numbers: list[int]) -> str | None:
        """Return the id of the campaign whose evidence is in a score, if there is one."""
        if not any(e.rule.kind is Kind.CAMPAIGN for e in score.evidence):
            return None
        names = self._world.campaigns
        return next((names[n] for n in numbers if n in names), None)

    def review(self, now: float) -> None:
        """Look which campaigns are enforced; meet the members of those that are so anew."""
        before = self._enforced()
        fresh = self._crowd.review(now)
        ended = before - self._enforced()
        for decision in list(self._crowd.docket.book.active.values()):
            if decision.campaign in ended or (decision.campaign and self._left(decision)):
                self._end(decision, Op.LIFT, now)
        for campaign in fresh:
            self.wave(self._crowd.queue(campaign), now)

    def _left(self, decision: Decision) -> bool:
        """Whether a verdict is on an account that is no member any more."""
        row = self._world.accounts.rows.get(decision.target)
        on_account = decision.plane is Plane.ACCOUNT and decision.origin is Origin.RULES
        return on_account and row is not None and not self._crowd.cases.campaign_of[row]

    def _enforced(self) -> set[str]:
        return {c.id for c in self._crowd.register.campaigns.values() if c.enforced_at}

    def wave(self, name: str, now: float) -> None:
        """Meet members of a campaign and their clients, as the governor leaves room.

        A client for which there is none is met when it comes again.
        """
        while self._crowd.has_room(now):
            account = self._crowd.next_of(name)
            if not account:
                return
            self._meet_account(account, now)
            for use in self._world.uses_of(account):
                for client in self._crowd.cases.clients_of(use):
                    if self._settled[client] <= now and self._crowd.has_room(now):
                        self._client(client, now)
        self._crowd.start(name, now + WAVE_S)

    def meet(self, account: int, client: int, templates: tuple[int, ...], now: float) -> None:
        """Judge who sent a record of an enforced campaign: its account, and where it came from."""
        if not self._crowd.join(account, templates, now):
            return
        self._meet_account(account, now)
        if self._settled[client] <= now:
            self._client(client, now)

    def _meet_account(self, account: int, now: float) -> None:
        if self._crowd.told[account] <= now:
            self._account(account, now)
            self._crowd.settle(account, now, self._quiet_s)
