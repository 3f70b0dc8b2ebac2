"""Case files: all evidence by entity, and the scores that entities are judged by.

A client answers for its own evidence, for that of the uses it carries, in the share they have of
its traffic, and for that of its subnet where it acts like the subnet's bulk. An account answers
for its own, for its uses', and for clients that it drives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from excise.decide.collateral import Collateral, Party, behind
from excise.decide.guard import parse_network, within
from excise.decide.ladder import MILDEST, OBSERVE, Ladder
from excise.decide.score import Dossier, Evidence, Score, weigh
from excise.features.interner import Rows
from excise.features.links import ANSWERED, OUTPUT, REQUESTS
from excise.features.world import World
from excise.model.entity import Entity, Kind
from excise.model.settings import Policy
from excise.model.step import Finding
from excise.rules.schema import Rule

#: evidence that still has this share of its points is not raised by much when it fires again
FRESH = 0.8
#: an address from which so many requests come, with answers so much shorter, is the owner's
HOME_REQUESTS, UNLIKE_OCTAVES = 10.0, 1.5
#: who draws one part in so many of a client's output answers in full for what the client does
ANSWERS = 3.0
Seen = tuple[tuple[str, float, float], ...]


class Cases:
    """Owns the dossiers of all kinds. `hot_use` marks uses whose clients answer for them."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world, self.policy = world, policy
        self.dossiers: dict[Kind, dict[int, Dossier]] = {kind: {} for kind in Kind}
        self.hot_use = np.zeros(world.tables[Kind.USE].capacity, dtype=bool)
        self.hot_subnet = np.zeros(world.tables[Kind.SUBNET].capacity, dtype=bool)
        #: the enforced campaign of each account row, 0 for none (see `crowd`)
        self.campaign_of: Rows = np.zeros(world.tables[Kind.ACCOUNT].capacity, dtype=np.int64)
        self.alike: Callable[[int, float], bool] = lambda _client, _now: False
        self._filed = np.zeros(world.tables[Kind.CLIENT].capacity, dtype=bool)
        #: who stands behind clients, as long as neither links nor guilt change
        self._behind: dict[int, Collateral] = {}
        self._links_stamp = 0

    # Evidence

    def file(
        self, kind: Kind, row: int, rule: Rule, now: float, seen: Seen
    ) -> tuple[bool, Finding | None]:
        """Take note that a rule fired for an entity.

        Returns whether that raises its score by much, and a finding if it is news to a person.
        """
        name = self.world.name(kind, row)
        if exempt(rule, kind, name):
            return False, None
        dossier = self.dossiers[kind].setdefault(row, Dossier())
        if kind is Kind.CLIENT:
            self._filed[row] = True
        firm, before = dossier.firm, dossier.evidence.get(rule.id)
        dossier.evidence[rule.id] = Evidence(rule, now, seen)
        if dossier.firm is not firm:
            self._behind.clear()
        if before is not None and now - before.fired <= rule.half_life_s:
            return before.points(now) < FRESH * rule.weight, None
        return True, Finding(now, rule.id, Entity(kind, name), rule.weight, seen)

    def has_own(self, client: int) -> bool:
        """Whether a client has firm evidence of its own."""
        return bool(self._filed[client]) and self._firm(Kind.CLIENT, client)

    def _firm(self, kind: Kind, row: int) -> bool:
        dossier = self.dossiers[kind].get(row)
        return dossier is not None and dossier.firm

    # Scores

    def own_score(self, kind: Kind, row: int, now: float) -> Score:
        """Score an entity by its own evidence alone."""
        dossier = self.dossiers[kind].get(row)
        return weigh([(dossier, 1.0)] if dossier else [], now, self.policy.family_cap)

    def score(self, kind: Kind, row: int, now: float) -> Score:
        """Score an entity as it is judged."""
        if kind is Kind.CLIENT:
            return self.client_score(row, now)
        if kind is Kind.ACCOUNT:
            return self.account_score(row, now)
        return self.own_score(kind, row, now)

    def client_score(self, row: int, now: float) -> Score:
        """Score a client: its own evidence, and that of the uses it carries."""
        parts = [(d, 1.0)] if (d := self.dossiers[Kind.CLIENT].get(row)) else []
        of_uses = self.dossiers[Kind.USE]
        if of_uses:
            shares = self.world.links.shares(row, lambda use: use)
            parts += [(of_uses[use], share) for use, share in shares.items() if use in of_uses]
        parts += self.campaigns_behind(row)
        near, wide = int(self.world.near[row]), int(self.world.wide[row])
        if (self.hot_subnet[near] or self.hot_subnet[wide]) and self.alike(row, now):
            dossiers = self.dossiers[Kind.SUBNET]
            parts += [(dossiers[s], 1.0) for s in (near, wide) if self.hot_subnet[s]]
        return weigh(parts, now, self.policy.family_cap)

    def account_score(self, row: int, now: float) -> Score:
        """Score an account: own evidence, its uses', and that of clients it drives."""
        parts = [(d, 1.0)] if (d := self.dossiers[Kind.ACCOUNT].get(row)) else []
        if (number := int(self.campaign_of[row])) in self.dossiers[Kind.CAMPAIGN]:
            parts.append((self.dossiers[Kind.CAMPAIGN][number], 1.0))
        uses = self.world.uses_of(row)
        output = self.world.decayed("output_tokens_24h", Kind.USE, np.array(uses, int), now)
        total = float(output.sum())
        for use, out in zip(uses, output.tolist(), strict=True):
            share = min(1.0, out / total) if total else 1.0
            if use in self.dossiers[Kind.USE]:
                parts.append((self.dossiers[Kind.USE][use], share))
            parts += self.driven(use, total, now)
        return weigh(parts, now, self.policy.family_cap)

    def campaigns_of_client(self, client: int) -> list[int]:
        """Return the enforced campaigns behind a client."""
        found = {self.campaign_of_use(use) for use in self.world.links.uses(client)}
        return sorted(found - {0})

    def campaigns_behind(self, client: int) -> list[tuple[Dossier, float]]:
        """Return dossiers of enforced campaigns behind a client, with their shares of it."""
        dossiers = self.dossiers[Kind.CAMPAIGN]
        shares = self.world.links.shares(client, self.campaign_of_use)
        return [(dossiers[n], share) for n, share in shares.items() if n and n in dossiers]

    def campaign_of_use(self, use: int) -> int:
        """Return the enforced campaign of the account of a use, 0 for none."""
        return int(self.campaign_of[self.world.use_owner(use)])

    def guilty_use(self, use: int) -> bool:
        """Whether firm evidence speaks against a use: its own, or its account's campaign."""
        return self._firm(Kind.USE, use) or bool(self.campaign_of_use(use))

    def driven(self, use: int, account_total: float, now: float) -> list[tuple[Dossier, float]]:
        """Return dossiers of clients of which a use is a culprit, each with a share.

        That is the share of the account's output that goes there, but at most `ANSWERS` times
        the account's part in what the client draws: one of fifty behind an address is a culprit
        like the others, and answers for little.
        """
        links = self.world.links
        fade = self.world.fade(now)
        out = []
        rows = links.of_use(use)
        for link in rows[self._filed[links.client[rows]]].tolist():
            client = int(links.client[link])
            if use in self.collateral(client).culprits:
                tokens = float(links.sums[link, OUTPUT])
                whole = float(links.sums[links.of_client(client), OUTPUT].sum())
                share = min(1.0, tokens * fade / account_total) if account_total else 1.0
                part = min(1.0, ANSWERS * tokens / whole) if whole else 1.0
                out.append((self.dossiers[Kind.CLIENT][client], min(share, part)))
        return out

    def rung(self, ladder: Ladder, score: Score, now: float) -> int:
        """Return the rung of a score; experimental evidence can lift it to observe."""
        if score.refused(now):
            return ladder.top
        rung = ladder.rung(score.total, score.families)
        hinted = score.total + score.hint >= self.policy.observe
        return max(rung, OBSERVE) if hinted else rung

    # Who stands behind

    def guilty_share(self, client: int) -> float:
        """Return the share of a client's traffic that goes through uses with evidence."""
        if self.has_own(client):
            return 1.0
        uses = self.world.links.uses(client)
        return self.world.links.share(client, {use for use in uses if self.guilty_use(use)})

    def collateral(self, client: int) -> Collateral:
        """Return who stands behind a client. Shares need no time: all links fade alike.

        Kept until links or guilt change: accounts that share many clients all ask for the same.
        """
        if self._links_stamp != self.world.links.stamp:
            self._links_stamp = self.world.links.stamp
            self._behind.clear()
        found = self._behind.get(client)
        if found is None:
            found = self._behind[client] = self._stand_behind(client)
        return found

    def _stand_behind(self, client: int) -> Collateral:
        links = self.world.links.of_client(client)
        uses = self.world.links.use[links].tolist()
        output = self.world.links.sums[links, OUTPUT].tolist()
        parties = [
            Party(u, o, self.guilty_use(u), self.campaign_of_use(u))
            for u, o in zip(uses, output, strict=True)
        ]
        return behind(parties, accused=self.has_own(client))

    def doubt(self, client: int, now: float) -> float:
        """Return the chance that the next request of a client is not of the guilty behind it.

        For a client that only inherits evidence: by the rule of succession (Laplace) it is
        1 / (n + 2) after n requests of theirs and none of others.
        """
        links = self.world.links
        rows = links.of_client(client)
        guilty = [self.guilty_use(use) for use in links.use[rows].tolist()]
        requests = float(links.sums[rows[guilty], REQUESTS].sum()) * self.world.fade(now)
        return 1.0 / (requests + 2.0)

    def honest_uses(self, account: int, now: float) -> float:
        """Return the share of an account's requests through uses that nothing speaks against.

        A stolen key has its owner's use beside the thief's; the owner keeps the account while
        the thief's clients are met on the network. A use from the guilty ones' own addresses is
        no owner's: changing the user agent buys nothing.
        """
        if self.campaign_of[account]:
            return 0.0
        uses = self.world.uses_of(account)
        of = {use: set(self.clients_of(use)) for use in uses}
        bad = {u for u in uses if self.hot_use[u] or self.incriminated(u, now)}
        if not bad:  # beside a use that is hot, one kind of evidence alone makes no other guilty
            bad = {u for u in uses if u in self.dossiers[Kind.USE]}
        tainted = set().union(*(of[u] for u in bad))
        honest = [u for u in uses if u not in bad and len(of[u] & tainted) * 2 <= len(of[u])]
        requests = self.world.decayed("requests_24h", Kind.USE, np.array(uses, int), now)
        ours = np.isin(np.array(uses, int), np.array(honest, int))
        total = float(requests.sum())
        at_home = sum(self.at_home(use, now) for use in bad)
        return (float(requests[ours].sum()) + at_home) / total if total else 0.0

    def incriminated(self, use: int, now: float) -> bool:
        """Whether a client that a use drives would be throttled for its own evidence alone.

        One kind of evidence is not enough: a large customer takes much, and is the owner still.
        """
        scores = [weigh([part], now, self.policy.family_cap) for part in self.driven(use, 0.0, now)]
        return any(s.total >= self.policy.throttle and s.families > 1 for s in scores)

    def at_home(self, use: int, now: float) -> float:
        """Return how many requests of a guilty use come from where much shorter answers are had.

        A thief whose program is the owner's to the letter is one use with him; but the owner
        works from an address of his own, and asks for other things. What a gateway refused him,
        since his account is denied or throttled, is no short answer.
        """
        at = one(use)
        answers = float(self.world.decayed("llm_requests_24h", Kind.USE, at, now)[0])
        if answers < 1.0:
            return 0.0
        typical = float(self.world.decayed("log_output", Kind.USE, at, now)[0]) / answers
        links = self.world.links
        sums = links.sums[links.of_use(use)] * self.world.fade(now)
        mean = np.log2(1.0 + sums[:, OUTPUT] / np.maximum(sums[:, ANSWERED], 1e-9))
        unlike = (sums[:, ANSWERED] >= HOME_REQUESTS) & (mean < typical - UNLIKE_OCTAVES)
        return float(sums[unlike, REQUESTS].sum())

    def clients_of(self, use: int) -> list[int]:
        """Return the clients of a use."""
        rows = self.world.links.of_use(use)
        clients: list[int] = self.world.links.client[rows].tolist()
        return clients

    def warm(self, use: int, ladder: Ladder, now: float) -> bool:
        """Note whether a use is so hot that its clients answer for it; True if it became so."""
        before = bool(self.hot_use[use])
        score = self.own_score(Kind.USE, use, now)
        self.hot_use[use] = self.rung(ladder, score, now) >= MILDEST
        return bool(self.hot_use[use]) and not before

    def belong(self, accounts: Rows | list[int] | int | slice, number: int) -> None:
        """Note the enforced campaign of accounts, 0 for none."""
        self._behind.clear()
        self.campaign_of[accounts] = number

    # Housekeeping

    def forgive(self, kind: Kind, row: int) -> None:
        """Forget the evidence on an entity; on an account also its uses'."""
        self._drop(kind, row)
        if kind is Kind.ACCOUNT:
            for use in self.world.uses_of(row):
                self._drop(Kind.USE, use)

    def _drop(self, kind: Kind, row: int) -> None:
        self._behind.clear()
        self.dossiers[kind].pop(row, None)
        if kind is Kind.CLIENT:
            self._filed[row] = False
        elif kind is Kind.USE:
            self.hot_use[row] = False
        elif kind is Kind.SUBNET:
            self.hot_subnet[row] = False

    def sweep(self, ladder: Ladder, now: float) -> None:
        """Forget evidence that has faded."""
        self._behind.clear()  # firm evidence may fade before experimental
        for kind, dossiers in self.dossiers.items():
            for row in [r for r, d in dossiers.items() if d.prune(now)]:
                self._drop(kind, row)
        for use in np.flatnonzero(self.hot_use).tolist():
            self.warm(use, ladder, now)

    def forget_rows(self, kind: Kind, rows: Rows) -> None:
        """Drop dossiers of rows that the world has forgotten."""
        for row in rows.tolist():
            self._drop(kind, row)

    def keep_rules(self, rules: dict[str, Rule]) -> None:
        """Drop evidence of rules that are gone; the rest is weighed by the new rules."""
        self._behind.clear()
        for kind, dossiers in self.dossiers.items():
            for row, dossier in list(dossiers.items()):
                kept = {i: e for i, e in dossier.evidence.items() if i in rules}
                dossier.evidence = {i: replace(e, rule=rules[i]) for i, e in kept.items()}
                if not kept:
                    self._drop(kind, row)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        for dossier in (d for kind in self.dossiers.values() for d in kind.values()):
            dossier.evidence = {
                i: replace(e, fired=e.fired - seconds) for i, e in dossier.evidence.items()
            }

    def reindex(self, ladder: Ladder, now: float) -> None:
        """Find out anew which clients have evidence and which uses are hot."""
        self._behind.clear()
        self._filed[:] = False
        self._filed[list(self.dossiers[Kind.CLIENT])] = True
        for use in self.dossiers[Kind.USE]:
            self.warm(use, ladder, now)


def exempt(rule: Rule, kind: Kind, name: str) -> bool:
    """Whether an exception of a rule names the entity, itself or by a network around it."""
    names = {n for e in rule.exceptions for n in e.names}
    if not names:
        return False
    if name in names or kind not in (Kind.CLIENT, Kind.SUBNET):
        return name in names
    network = parse_network(name)
    return any(within(network, parse_network(n)) for n in names if ":" in n or n[:1].isdigit())


def one(row: int) -> Rows:
    """Return a single row as an array."""
    return np.array([row], dtype=np.int64)
