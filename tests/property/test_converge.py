"""Planning only what changed comes to the same as planning everything."""

from hypothesis import given
from hypothesis import strategies as st

from excise.daemon.converge import Converger, Wish
from excise.daemon.roll import Roll
from excise.decide.desired import desired
from excise.decide.plan import plan
from excise.enforce.dryrun import DryRun
from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.settings import DEFAULT_TIERS

NOW = 1_000_000.0
PROTECTED = ("192.0.2.4/31", "2001:db8:0:2::/64")
#: a few nested networks and hosts, so that they meet often
TARGETS = (
    *(f"192.0.2.{n}/32" for n in range(8)),
    "192.0.2.0/30",
    "192.0.2.4/30",
    "192.0.2.0/29",
    "192.0.2.0/24",
    *(f"2001:db8:0:{n}::/64" for n in range(4)),
    "2001:db8::/62",
    "2001:db8::/48",
)
ACTIONS = ((Action.OBSERVE, None), (Action.THROTTLE, "slow"), (Action.THROTTLE, "crawl"))


@st.composite
def changes(draw):
    """One change of one decision."""
    action, tier = draw(st.sampled_from((*ACTIONS, (Action.DROP, None))))
    decision = Decision(
        id="d",
        plane=Plane.NETWORK,
        target=draw(st.sampled_from(TARGETS)),
        action=action,
        tier=tier,
        since=0.0,
        until=NOW + draw(st.sampled_from((100.0, 200.0, 300.0))),
        score=50.0,
        rules=(),
        reason="",
    )
    return DecisionEvent(0.0, draw(st.sampled_from((Op.ADD, Op.ESCALATE, Op.LIFT))), decision)


@given(st.lists(st.lists(changes(), max_size=5), max_size=8))
def test_what_the_kernel_holds_is_what_planning_everything_gives(rounds):
    enforcer = DryRun(lambda: NOW)
    converger, roll = Converger(enforcer), Roll([])
    for events in rounds:
        for event in events:
            roll.note(event)
        census = roll.census(NOW)
        converger.converge(Wish(census, DEFAULT_TIERS, PROTECTED, (443,), NOW))

        whole = desired(census.everything().values(), DEFAULT_TIERS, PROTECTED, NOW)
        assert plan(whole, enforcer.read(), tolerance_s=0.0).is_empty
