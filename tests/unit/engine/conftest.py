"""Engines with small tables, rules of few words, and a policy whose numbers the tests state."""

import msgspec
import pytest

from excise.engine import Engine
from excise.model.decision import DecisionEvent, Posture, Tier
from excise.model.entity import Family, Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Governor, Policy, Settings
from excise.model.step import Observed, Tick
from excise.rules.schema import Comparison, Maturity, Rule, Rulebook

START = 1_700_000_000.0
POLICY = Policy(
    family_cap=39.0,
    observe=20.0,
    throttle=40.0,
    drop=60.0,
    drop_families=2,
    dwell_s=10.0,
    ttl_observe_s=600.0,
    ttl_throttle_s=600.0,
    ttl_drop_s=600.0,
    jitter=0.0,
    ttl_max_s=2000.0,
    keep=0.7,
    collateral_soften=0.1,
    collateral_veto=0.4,
    subnet_members=6,
    subnet_guilty=0.8,
)
SETTINGS = Settings(
    posture=Posture.ENFORCE,
    tiers=(Tier("slow", egress_bytes_s=50_000), Tier("crawl", egress_bytes_s=5_000)),
    policy=POLICY,
    governor=Governor(min_prefix_v4=20, min_prefix_v6=40),
    capacity=Capacity(512, 512, 256, 256, 64, 64, 1024),
    late_tolerance_s=300.0,
    jump_tolerance_s=3600.0,
)


@pytest.fixture
def start():
    return START


@pytest.fixture
def policy():
    """Give the policy with some numbers changed."""
    return lambda **changes: msgspec.structs.replace(POLICY, **changes)


@pytest.fixture
def rule():
    """Make a rule: fires when `feature` is above a number."""

    def make(rule_id, family, weight, feature="requests_1h", above=4.5, **changes):
        base = {
            "about": f"Too many {feature}.",
            "kind": Kind.CLIENT,
            "half_life_s": 86_400.0,
            "maturity": Maturity.STABLE,
            "hits_also": "",
            "when": (Comparison(feature, above=above),),
        }
        return Rule(id=rule_id, family=Family(family), weight=weight, **(base | changes))

    return make


@pytest.fixture
def engine(rule):
    """Make an engine of rules; keywords change the settings."""

    def make(*rules, **changes):
        settings = msgspec.structs.replace(SETTINGS, **changes)
        return Engine(settings, Rulebook(tuple(sorted(rules, key=lambda r: r.id))))

    return make


@pytest.fixture
def guilty(rule):
    """Return rules of two families that make any client of five requests drop-worthy."""
    return [rule("shape.x", "shape", 35.0), rule("volume.x", "volume", 35.0)]


@pytest.fixture
def ask():
    """Observe one client's requests, a second apart; return what was decided."""

    def observe(engine, client="203.0.113.7", count=8, at_s=None, every_s=1.0, **fields):
        begin = (engine.clock + 1 if engine.clock else START) if at_s is None else START + at_s
        fields = {"output_tokens": 100, "status": 200} | fields
        records = [Record(ts=begin + i * every_s, client=client, **fields) for i in range(count)]
        return [e for e in engine.step([Observed(records)]) if isinstance(e, DecisionEvent)]

    return observe


@pytest.fixture
def wait():
    """Let seconds pass without a record; return what was decided."""

    def tick(engine, seconds):
        effects = engine.step([Tick()], engine.clock + seconds)
        return [e for e in effects if isinstance(e, DecisionEvent)]

    return tick


@pytest.fixture
def active():
    """Give what is in force: target to action, and the tier of a throttle."""
    return lambda engine: {
        d.target: d.action.value if d.tier is None else d.tier for d in engine.decisions()
    }
