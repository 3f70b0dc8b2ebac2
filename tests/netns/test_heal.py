"""Whatever somebody else does to our tables is put right, with everything in it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from excise.daemon.converge import Converger, Wish
from excise.daemon.culprits import Culprits
from excise.daemon.reconcile import Reconciler
from excise.daemon.roll import Roll
from excise.decide.desired import desired
from excise.decide.plan import plan
from excise.enforce.nft import Nftables
from excise.log import make_log
from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.settings import DEFAULT_TIERS

pytestmark = pytest.mark.netns

MEDDLING = {
    "everything flushed": "flush ruleset",
    "a table deleted": "delete table ip excise",
    "the other table deleted": "delete table ip6 excise",
    "a hooked chain deleted": "delete chain ip excise pre",
    "a hooked chain flushed": "flush chain ip6 excise out",
    "a chain flushed": "flush chain ip excise inbound",
    "a rule put in front": "insert rule ip excise pre accept",
    "a rule added behind": "add rule ip6 excise outdata counter",
    "a chain added": "add chain ip excise stranger",
    "a set flushed": "flush set ip excise block",
    "a set of networks flushed": "flush set ip6 excise egr_net",
    "the sieve flushed": "flush set ip excise near",
    "a part of the sieve taken out": "delete element ip6 excise near { 2001:db8:: }",
    "an element taken out": "delete element ip excise block { 203.0.113.7 }",
}
REPAIRED_WITHIN_S = 20.0


def decision(target, tier=None):
    return Decision(
        id=target,
        plane=Plane.NETWORK,
        target=target,
        action=Action.THROTTLE if tier else Action.DROP,
        tier=tier,
        since=time.time(),
        until=time.time() + 3600.0,
        score=70.0,
        rules=("volume.test",),
        reason="a test",
    )


DECISIONS = [
    decision("203.0.113.7/32"),
    decision("203.0.113.8/32", "crawl"),
    decision("198.51.100.0/24"),
    decision("192.0.2.128/25", "slow"),
    decision("2001:db8:1::/64"),
    decision("2001:db8:2::1/128"),
    decision("2001:db8:3::/48", "crawl"),
]


class Kept:
    """Decisions that are kept in a namespace's kernel."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.roll = Roll(DECISIONS)
        self.nft = Nftables(netns=namespace.name)
        self.converger = Converger(self.nft)

    def wish(self):
        now = time.time()
        return Wish(self.roll.census(now), DEFAULT_TIERS, ("192.0.2.1/32",), (443,), now)

    def tables(self):
        """Return the tables as nft lists them, without elements."""
        return self.namespace.nft("-t", "-s", "list", "ruleset")

    def holds_all(self):
        decisions = self.roll.census(time.time()).everything().values()
        want = desired(decisions, DEFAULT_TIERS, ("192.0.2.1/32",), time.time())
        return plan(want, self.nft.read()).is_empty


@pytest.fixture
def kept(namespace):
    made = Kept(namespace)
    made.converger.converge(made.wish())
    yield made
    made.converger.close(keep=True)


@pytest.mark.parametrize("script", MEDDLING.values(), ids=MEDDLING)
def test_what_somebody_did_to_the_tables_is_seen_and_put_right(kept, script):
    before = kept.tables()
    assert not kept.converger.drifted()

    kept.namespace.nft(script)

    assert kept.converger.drifted()
    assert kept.converger.converge(kept.wish()).repaired
    assert before == kept.tables()
    assert kept.holds_all()
    assert not kept.converger.drifted()


@pytest.mark.parametrize(
    "script",
    [
        "add table inet other; add chain inet other in { type filter hook input priority 0; }",
        "add table ip nat; add set ip nat block { type ipv4_addr; }",
    ],
)
def test_what_somebody_does_elsewhere_is_left_alone(kept, script):
    kept.namespace.nft(script)
    listed = kept.tables()

    assert not kept.converger.drifted()
    kept.converger.converge(kept.wish())

    assert listed == kept.tables()


async def until(seen):
    """Wait until it is seen; fails when that takes far too long."""
    async with asyncio.timeout(REPAIRED_WITHIN_S):
        while not await asyncio.to_thread(seen):
            pass


async def deciding(kept, reconciler):
    """Add a decision again and again, for ever."""
    number = 0
    while True:
        number += 1
        added = decision(f"10.0.{number >> 8}.{number & 255}/32")
        kept.roll.note(DecisionEvent(time.time(), Op.ADD, added))
        await reconciler.settled(reconciler.kick())


def test_the_loop_puts_everything_right_while_decisions_come_in(kept):
    before = kept.tables()

    async def story(executor):
        reconciler = Reconciler(
            converger=kept.converger,
            wish=kept.wish,
            executor=executor,
            on_alarm=lambda _code, _text: None,
            log=make_log(level="error"),
            culprits=Culprits(make_log(level="error"), time.time),
        )
        tasks = [
            asyncio.create_task(reconciler.run(lambda: None)),
            asyncio.create_task(deciding(kept, reconciler)),
        ]
        for script in MEDDLING.values():
            repairs = reconciler.repairs
            await asyncio.to_thread(kept.namespace.nft, script)
            await until(lambda was=repairs: reconciler.repairs > was and kept.tables() == before)
        tasks[1].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[1]
        await reconciler.settled(reconciler.kick())
        tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[0]

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(story(executor))
    assert before == kept.tables()
    assert not kept.converger.drifted()
    assert kept.holds_all()
    assert kept.roll.census(time.time()).total > len(DECISIONS)
