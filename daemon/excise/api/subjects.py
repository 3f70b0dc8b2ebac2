"""Handlers: what is scored, and why. Sources are clients and subnets; accounts; campaigns."""

from __future__ import annotations

from excise.api.ask import AccountsAsk, Ask, CidrAsk, IdAsk, SourcesAsk
from excise.api.control import Control
from excise.api.target import require_network
from excise.api.wire import (
    AccountsView,
    CampaignsView,
    CampaignView,
    ExplainedView,
    SourcesView,
    campaign_view,
    explained,
)
from excise.errors import NotFoundError
from excise.model.entity import Kind


async def list_sources(control: Control, ask: SourcesAsk) -> SourcesView:
    """Addresses and subnets with evidence, highest score first."""
    kinds = [ask.kind] if ask.kind else [Kind.CLIENT.value, Kind.SUBNET.value]
    found = [view for kind in kinds for view in control.engine.scored(kind, ask.limit)]
    found.sort(key=lambda view: (-view.score, view.name))
    return SourcesView(tuple(found[: ask.limit]))


async def get_source(control: Control, ask: CidrAsk) -> ExplainedView:
    """One address or subnet explained."""
    require_network(ask.cidr)
    return explained(control.engine.explain(ask.cidr), control.engine.decisions(), control.dropped)


async def list_accounts(control: Control, ask: AccountsAsk) -> AccountsView:
    """Accounts with evidence, highest score first."""
    return AccountsView(tuple(control.engine.scored(Kind.ACCOUNT.value, ask.limit)))


async def get_account(control: Control, ask: IdAsk) -> ExplainedView:
    """One account explained."""
    explanation = control.engine.explain(ask.id)
    if explanation.kind not in {Kind.ACCOUNT, Kind.USE}:
        raise NotFoundError(f"{ask.id!r} is a {explanation.kind}, not an account")
    return explained(explanation, control.engine.decisions())


async def list_campaigns(control: Control, _: Ask) -> CampaignsView:
    """Campaigns, the enforced ones first."""
    return CampaignsView(tuple(control.engine.campaigns()))


async def get_campaign(control: Control, ask: IdAsk) -> CampaignView:
    """One campaign explained, with its members."""
    return campaign_view(control.engine.campaign(ask.id), control.engine.decisions())
