"""How far somebody may be enforced, for the sake of who else is there."""

from __future__ import annotations

from excise.decide.cases import Cases, one
from excise.decide.collateral import Collateral
from excise.decide.docket import Docket
from excise.decide.ladder import MILDEST, OBSERVE
from excise.decide.neighbours import Neighbours
from excise.features.world import World
from excise.model.decision import Decision
from excise.model.entity import Kind

#: a request's client must be the socket's peer in at least this share of its traffic
DIRECT_SHARE = 0.5
#: most doubt about who else lives at an exit of a campaign that lets it be dropped; it may be
#: this little as the account plane meets the members anyway, and a throttle shows who else comes
DOUBT_FLEET = 0.002
#: an account keeps its good name while this share of its requests comes through honest uses
OWNER_SHARE = 0.01


class Bounds:
    """Knows what collateral allows."""

    def __init__(self, world: World, cases: Cases, docket: Docket, neighbours: Neighbours) -> None:
        self._world, self._cases, self._docket = world, cases, docket
        self._neighbours = neighbours

    def client(self, row: int, behind: Collateral, now: float) -> tuple[int, str]:
        """Return the highest rung for a client on the network plane, and why not higher."""
        policy, top = self._docket.settings.policy, self._docket.ladder.top
        requests = self._world.decayed("requests_24h", Kind.CLIENT, one(row), now)[0]
        direct = self._world.decayed("direct_24h", Kind.CLIENT, one(row), now)[0]
        if direct < DIRECT_SHARE * requests:
            return OBSERVE, "; not the socket's peer, so left to the account plane"
        fleet = bool(self._cases.campaigns_of_client(row))
        if fleet or not self._cases.has_own(row):
            # Others may live there who were not seen yet.
            doubt = self._cases.doubt(row, now)
            most = DOUBT_FLEET if fleet else policy.collateral_soften
            if behind.share <= policy.collateral_soften and doubt > most:
                return top - 1, f"; throttled, not dropped: {doubt:.1%} doubt about who lives there"
        others = f"{behind.honest} honest accounts ({behind.share:.0%}) share the address"
        if behind.share > policy.collateral_veto:
            return OBSERVE, f"; spared on the network: {others}"
        if behind.share > policy.collateral_soften:
            return top - 1, f"; throttled, not dropped: {others}"
        return top, ""

    def spares(self, kind: Kind, row: int, decision: Decision, now: float) -> bool:
        """Whether the honest behind a target have become too many for its decision."""
        if decision.wanted < MILDEST:
            return False
        if kind is Kind.CLIENT:
            most, _ = self.client(row, self._cases.collateral(row), now)
            return decision.wanted > most
        if kind is Kind.SUBNET:
            return self._neighbours.alike(row, now)[1] > self._neighbours.most_honest()
        return self._cases.honest_uses(row, now) >= OWNER_SHARE
