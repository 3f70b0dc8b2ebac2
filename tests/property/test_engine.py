"""The engine decides the same, to the last bit, however its records are cut into batches."""

import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from excise.engine import Engine
from excise.model.decision import DecisionEvent, Posture
from excise.model.entity import Family, Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Governor, Policy, Settings
from excise.model.step import Alarm, Finding, Observed
from excise.rules.schema import (
    Comparison,
    Exemption,
    Maturity,
    Population,
    Relative,
    Rule,
    Rulebook,
)

START = 1_700_000_000.0
STACKS = ("curl/8", "python/3", "go/1", "")
GAPS_S = (0.0, 0.0, 0.1, 0.5, 1.0, 1.0, 3.0, 20.0, 400.0, -2.0, -100.0, -5000.0, 5000.0, 90_000.0)


def rule(number, family, kind, *when, **changes):
    return Rule(
        **{
            "id": f"r{number:02}",
            "about": "a rule",
            "family": family,
            "kind": kind,
            "when": when,
            "weight": 30.0,
            "half_life_s": 400.0,
            "maturity": Maturity.STABLE,
            "hits_also": "",
        }
        | changes
    )


RULES = Rulebook(
    (
        rule(1, Family.VOLUME, Kind.CLIENT, Comparison("requests_1m", above=3.0)),
        rule(2, Family.SHAPE, Kind.CLIENT, Comparison("gap_spread", below=1.0), weight=25.0),
        rule(3, Family.GRAPH, Kind.USE, Comparison("clients", above=2.0), weight=45.0),
        rule(
            4,
            Family.VOLUME,
            Kind.USE,
            Comparison("output_tokens_1m", above=900.0),
            weight=8.0,
            half_life_s=40.0,
        ),
        rule(5, Family.GRAPH, Kind.ACCOUNT, Comparison("subnets", above=1.5), weight=35.0),
        rule(6, Family.NETWORK, Kind.SUBNET, Comparison("clients", above=2.5), weight=70.0),
        rule(
            7,
            Family.API,
            Kind.CLIENT,
            Comparison("plaintext_1h", above=1.5),
            refuse=True,
            weight=10.0,
        ),
        rule(8, Family.TEMPLATE, Kind.TEMPLATE, Comparison("accounts", above=1.5)),
        rule(9, Family.SHAPE, Kind.STACK, Comparison("requests_1h", above=10.0)),
        rule(
            10,
            Family.TIME,
            Kind.CLIENT,
            Comparison("active_hours", above=1.5),
            maturity=Maturity.EXPERIMENTAL,
        ),
        rule(
            11,
            Family.TIME,
            Kind.ACCOUNT,
            Comparison("requests_1h", above=Relative("requests_24h", times=0.9, floor=2.0)),
            exceptions=(Exemption("few", when=(Comparison("total", below=4.0),)),),
        ),
        rule(
            12,
            Family.VOLUME,
            Kind.SUBNET,
            Comparison("output_tokens_1h", above=Population(0.5, floor=1500.0)),
            weight=45.0,
        ),
        rule(
            13,
            Family.NETWORK,
            Kind.CLIENT,
            Comparison("handshake_ratio", above=3.0),
            Comparison("handshakes", above=Relative("requests_24h", times=0.2)),
        ),
    )
)

#: kinds without a rule are kept up a piece at a time
FEW = Rulebook(tuple(r for r in RULES.rules if r.kind in (Kind.CLIENT, Kind.USE)))


def address(number):
    """Four sites: a v4 /24 with neighbours, scattered v4, one v6 /48, one v6 /64 of many hosts."""
    site, host = divmod(number, 12)
    return (
        f"203.0.113.{host + 1}",
        f"198.51.{100 + host}.9",
        f"2001:db8:1:{host:x}::1",
        f"2001:db8:2:1::{host + 1:x}",
    )[site]


@st.composite
def records(draw):
    """Draw a stream: clients, accounts and stacks mix freely, time mostly runs forward."""
    count = draw(st.integers(20, 90))
    rng = draw(st.randoms(use_true_random=False))
    ts, out = START + rng.randrange(3000), []
    for _ in range(count):
        ts += rng.choice(GAPS_S)
        client = address(rng.randrange(48))
        account = rng.choice(("", "a", "b", "c", "d"))
        out.append(
            Record(
                ts=ts,
                client=client,
                peer=rng.choice(("", client, "192.0.2.1")),
                account=account,
                status=rng.choice((200, 200, 429, -1)),
                input_tokens=rng.choice((-1, 10, 300)),
                output_tokens=rng.choice((-1, 0, 7, 400, 401, 3000)),
                bytes_out=rng.randrange(5000),
                tls=rng.choice(("none", "TLSv1.3", "TLSv1.3")),
                user_agent=rng.choice(STACKS),
                prompt=rng.choice(((), ("aa",), ("bb", "cc"))),
                tcp_rtt=rng.choice((-1.0, 0.005, 0.02, 0.1)),
                tls_handshake=rng.choice((-1.0, 0.0, 0.055, 0.11, 0.3)),
            )
        )
    return out


def settings(**changes):
    base = {
        "posture": Posture.ENFORCE,
        "policy": Policy(
            dwell_s=3.0,
            ttl_observe_s=60.0,
            ttl_throttle_s=120.0,
            ttl_drop_s=200.0,
            subnet_members=3,
            subnet_guilty=0.5,
        ),
        "capacity": Capacity(512, 512, 256, 256, 64, 64, 1024),
    }
    return Settings(**(base | changes))


def run(engine, batches):
    return [effect for batch in batches for effect in engine.step([Observed(batch)])]


def cut(stream, sizes):
    """Cut a stream into batches of these sizes in turn."""
    batches, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        batches.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    return batches


def assert_same(expected, actual):
    for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
        assert one == other, f"effect {number} of {len(expected)}"
    assert len(expected) == len(actual)


#: a stream is drawn from one random seed: shrinking it takes minutes and makes it no plainer
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@hypothesis_settings(max_examples=12, phases=PHASES)
@given(stream=records(), sizes=SIZES, book=st.sampled_from((RULES, FEW)))
def test_batches_of_any_size_decide_as_one_record_at_a_time_does(stream, sizes, book):
    alone = run(Engine(settings(), book), [[r] for r in stream])
    assert_same(alone, run(Engine(settings(), book), [stream]))
    assert_same(alone, run(Engine(settings(), book), cut(stream, sizes)))


@hypothesis_settings(max_examples=6, phases=PHASES)
@given(stream=records(), sizes=SIZES)
def test_several_batches_in_one_step_decide_as_in_steps_of_their_own(stream, sizes):
    batches = cut(stream, sizes)
    together = Engine(settings(), RULES).step([Observed(batch) for batch in batches])
    assert_same(run(Engine(settings(), RULES), batches), together)


@hypothesis_settings(max_examples=6, phases=PHASES)
@given(stream=records(), sizes=SIZES)
def test_tables_that_forget_forget_the_same_however_records_are_cut(stream, sizes):
    narrow = settings(capacity=Capacity(16, 16, 16, 16, 16, 16, 20))
    alone = Engine(narrow, RULES)
    expected = run(alone, [[r] for r in stream])
    for batches in ([stream], cut(stream, sizes)):
        engine = Engine(narrow, RULES)
        assert_same(expected, run(engine, batches))
        assert alone.status().tables == engine.status().tables


@hypothesis_settings(max_examples=6, phases=PHASES)
@given(stream=records(), sizes=SIZES)
def test_a_governor_that_trips_trips_at_the_same_record(stream, sizes):
    tight = settings(governor=Governor(max_new_per_min=4, free=3, max_share=0.1))
    alone = run(Engine(tight, RULES), [[r] for r in stream])
    assert_same(alone, run(Engine(tight, RULES), cut(stream, sizes)))


def campaign():
    """A key passed round 40 clients in two sites, an office beside them, and one that idles."""
    stream = []
    for i in range(400):
        ts = START + i * 0.7
        bot = f"203.0.113.{i % 20 + 1}" if i % 2 else f"2001:db8:1:{i % 20:x}::1"
        common = {"input_tokens": 50, "status": 200, "tls": "TLSv1.3"}
        stream.append(
            Record(
                ts=ts,
                client=bot,
                account="stolen",
                user_agent="bot/1",
                output_tokens=800,
                prompt=("aa",),
                **common,
            )
        )
        if i % 3 == 0:
            stream.append(
                Record(
                    ts=ts + 0.01,
                    client="198.51.100.1",
                    account=f"person{i % 5}",
                    user_agent="browser",
                    output_tokens=100,
                    **common,
                )
            )
        if i % 7 == 0:
            stream.append(
                Record(
                    ts=ts + 0.02,
                    client="192.0.2.9",
                    account="stolen",
                    user_agent="sdk/2",
                    output_tokens=40,
                    **common,
                )
            )
    stream.append(Record(ts=stream[-1].ts + 3000, client="192.0.2.77"))
    return stream


@pytest.mark.parametrize("size", [7, 10_000])
def test_a_campaign_is_met_alike_record_by_record_and_in_batches(size):
    stream = campaign()
    expected = run(Engine(settings(), RULES), [[r] for r in stream])
    assert_same(expected, run(Engine(settings(), RULES), cut(stream, [size])))
    ops = {e.op.value for e in expected if isinstance(e, DecisionEvent)}
    assert {"add", "escalate", "renew", "expire"} <= ops
    targets = {e.decision.target for e in expected if isinstance(e, DecisionEvent)}
    assert any(t.startswith("203.0.113.") and not t.endswith("/32") for t in targets)
    assert any(isinstance(e, Finding) for e in expected)


@pytest.mark.parametrize("size", [2, 5, 10_000])
def test_clocks_that_jump_are_followed_at_the_same_record(size):
    times = [0, 1, 2, *range(50_000, 50_020), *range(10, 30), 31, 900_000, 32, 33]
    stream = [
        Record(ts=START + t, client=address(i % 5), account="a", output_tokens=500)
        for i, t in enumerate(times)
    ]
    expected = run(Engine(settings(), RULES), [[r] for r in stream])
    assert 2 == sum(isinstance(e, Alarm) for e in expected)
    assert_same(expected, run(Engine(settings(), RULES), cut(stream, [size])))
