"""The whole kernel plane in the network namespace where this runs; prints what it saw, as JSON.

A program of its own, since it is run with other rights than the tests have.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from excise.daemon.converge import Converger, Wish
from excise.daemon.roll import Roll
from excise.decide.desired import desired
from excise.decide.plan import Measure, plan
from excise.enforce.nft import Nftables
from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.settings import DEFAULT_TIERS

PORTS = (443,)


def capabilities():
    """Return the effective capabilities (proc(5)), as a number."""
    status = Path("/proc/self/status").read_text()
    return next(int(x.split()[1], 16) for x in status.splitlines() if x.startswith("CapEff"))


def nft(*argv):
    done = subprocess.run(["nft", *argv], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def decision(target, tier=None, ttl_s=3600.0):
    return Decision(
        id=target,
        plane=Plane.NETWORK,
        target=target,
        action=Action.THROTTLE if tier else Action.DROP,
        tier=tier,
        since=time.time(),
        until=time.time() + ttl_s,
        score=70.0,
        rules=("volume.test",),
        reason="a test",
    )


class Story:
    def __init__(self, *, owner):
        self.roll = Roll([])
        self.protected = ["192.0.2.1/32"]
        self.nft = Nftables(owner=owner)
        self.converger = Converger(self.nft)

    def wish(self):
        return Wish(self.roll.census(), DEFAULT_TIERS, self.protected, PORTS, time.time())

    def decide(self, op, *decisions):
        """Let decisions change; return whether the kernel holds all that is decided then."""
        for what in decisions:
            self.roll.note(DecisionEvent(time.time(), op, what))
        self.converger.converge(self.wish())
        return self.holds_all()

    def holds_all(self):
        decisions = self.roll.census().decisions()
        want = desired(decisions, DEFAULT_TIERS, self.protected, time.time())
        return plan(want, self.nft.read()).is_empty

    def repaired(self, *script):
        """Let nft(8) meddle; return whether it was allowed to, seen, and put right."""
        allowed = nft(*script)[0] == 0
        seen = self.converger.drifted()
        outcome = self.converger.converge(self.wish())
        return allowed and seen and outcome.repaired and self.holds_all()


def tell():
    seen = {}
    story = Story(owner=False)
    many = [decision(f"198.18.{n >> 8}.{n & 255}/32") for n in range(5000)]
    several = [
        decision("203.0.113.7/32"),
        decision("198.51.100.0/24"),
        decision("203.0.113.128/25", "crawl"),
        decision("2001:db8:1::/64", "slow"),
        decision("2001:db8:2::1/128"),
    ]
    seen["added"] = story.decide(Op.ADD, *several)
    seen["added many"] = story.decide(Op.ADD, *many)
    seen["renewed"] = story.decide(Op.RENEW, decision("203.0.113.7/32", ttl_s=7200.0))
    seen["another rate"] = story.decide(Op.ESCALATE, decision("2001:db8:1::/64", "crawl"))
    seen["lifted"] = story.decide(Op.LIFT, *many[:4000])
    story.protected.append("192.0.2.64/26")
    seen["guarded"] = story.decide(Op.ADD, decision("192.0.2.0/24"))
    seen["counted"] = ("2001:db8:1::/64", Measure.EGRESS) in story.nft.counters()
    seen["healed a flush"] = story.repaired("flush ruleset")
    seen["healed a chain"] = story.repaired("flush chain ip excise inbound")
    seen["healed a rule"] = story.repaired("insert rule ip6 excise pre accept")
    story.converger.close(keep=True)

    heir = Story(owner=True)
    heir.roll = story.roll
    heir.protected = story.protected
    heir.converger.open(heir.protected, PORTS)
    seen["taken over"] = heir.holds_all()
    nft("flush ruleset")
    seen["owned"] = heir.nft.in_sync() and nft("delete table ip excise")[0] != 0
    heir.converger.sweep()
    seen["nothing left"] = nft("list ruleset")[1] == ""
    return seen


if __name__ == "__main__":
    who = {"uid": os.getuid(), "capabilities": capabilities()}
    print(json.dumps({**who, "seen": tell()}))
