"""What an engine has learned survives a restart, or is refused whole."""

import io

import numpy as np
import pytest

from excise.errors import InvalidError
from excise.model.decision import DecisionEvent
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.settings import Capacity
from excise.model.step import Finding, Observed


def stream(start, count=600):
    """A key used from many addresses, regulars beside it, v6, and lines a little late."""
    records = []
    for i in range(count):
        ts = start + i * 5.0 - (40.0 if i % 11 == 0 else 0.0)
        thief = i % 3 == 0
        v6 = i % 5 == 0
        client = f"2001:db8:{i % 7:x}::1" if v6 else f"198.51.{100 + i % 9}.{5 + thief}"
        records.append(
            Record(
                ts=ts,
                client=client,
                account="key" if thief else f"person{i % 9}",
                user_agent="bot/1" if thief else "browser",
                output_tokens=900 if thief else 60,
                input_tokens=40,
                status=200,
                prompt=("aa",) if thief else (f"{i % 9:02x}",),
            )
        )
    return records


@pytest.fixture
def rules(rule):
    return [
        rule("graph.use", "graph", 30.0, "clients", 3.5, kind=Kind.USE, half_life_s=900.0),
        rule("shape.client", "shape", 25.0, "mean_output", 500.0, half_life_s=300.0),
        rule("time.account", "time", 20.0, "requests_1h", 30.0, kind=Kind.ACCOUNT),
        rule("volume.use", "volume", 30.0, "output_tokens_1h", 9000.0, kind=Kind.USE),
    ]


def run(engine, records):
    effects = []
    for at in range(0, len(records), 50):
        effects += engine.step([Observed(records[at : at + 50])])
    return effects


@pytest.mark.parametrize("cut", [1, 100, 333, 500])
def test_an_engine_restored_goes_on_as_the_one_that_never_stopped(engine, rules, start, cut):
    records = stream(start)
    whole, again = engine(*rules), engine(*rules)
    run(whole, records[:cut])
    again.restore(whole.snapshot())
    again.adopt(whole.decisions(), {})
    assert whole.decisions() == again.decisions()
    assert whole.scored() == again.scored()
    expected = run(whole, records[cut:])
    assert expected == run(again, records[cut:])
    assert any(isinstance(e, DecisionEvent) for e in expected)
    assert any(isinstance(e, Finding) for e in expected) or cut > 300
    assert whole.status() == again.status()


def test_a_snapshot_of_an_engine_that_has_seen_nothing_restores(engine, rules):
    again = engine(*rules)
    again.restore(engine(*rules).snapshot())
    assert 0.0 == again.clock


def test_evidence_of_rules_that_are_gone_is_left_out(engine, rules, start):
    whole = engine(*rules)
    run(whole, stream(start))
    again = engine(rules[0])
    again.restore(whole.snapshot())
    assert {"graph.use"} == {r for one in again.scored() for r in one.rules}


@pytest.mark.parametrize(
    "name", ["two\nlines", "tab\tand\rreturn", "nul\x00inside", "ünïcödé", "\n", " "]
)
def test_names_with_any_character_survive(engine, start, name):
    whole, again = engine(), engine()
    fields = {"account": name, "user_agent": name, "prompt": (name, name)}
    whole.step([Observed([Record(ts=start, client="203.0.113.7", **fields)])])
    again.restore(whole.snapshot())
    assert name == again.explain(name).name
    assert whole.explain(name) == again.explain(name)


@pytest.mark.parametrize("table", Capacity.__struct_fields__)
def test_a_snapshot_larger_than_the_tables_is_refused(engine, start, table):
    whole = engine()
    records = [
        Record(
            ts=start + i,
            client=f"198.51.{100 + i}.1",
            account=f"a{i}",
            user_agent=f"s{i}",
            prompt=(f"{i:02x}",),
            output_tokens=9,
        )
        for i in range(50)
    ]
    whole.step([Observed(records)])
    sizes = dict.fromkeys(Capacity.__struct_fields__, 256) | {table: 20}
    with pytest.raises(InvalidError, match=r"capacity|allows"):
        engine(capacity=Capacity(**sizes)).restore(whole.snapshot())


@pytest.fixture
def blob(engine, rules, start):
    whole = engine(*rules)
    run(whole, stream(start, 100))
    return whole.snapshot()


def test_what_is_no_snapshot_is_refused(engine, blob):
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for damaged in (b"", b"PK", b"nonsense" * 40, blob[: len(blob) // 2], array.getvalue()):
        with pytest.raises(InvalidError):
            engine().restore(damaged)


def test_a_flipped_byte_is_refused_or_harmless(engine, rules, blob):
    refused = 0
    for at in range(0, len(blob), max(1, len(blob) // 150)):
        damaged = bytearray(blob)
        damaged[at] ^= 0xFF
        try:
            engine(*rules).restore(bytes(damaged))
        except InvalidError:
            refused += 1
    assert refused > 100


def test_a_part_that_is_missing_is_refused(engine, rules, blob):
    with np.load(io.BytesIO(blob)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for missing in ("notes", "client.sums", "links.client", "settled"):
        out = io.BytesIO()
        np.savez(out, **{name: a for name, a in arrays.items() if name != missing})
        with pytest.raises(InvalidError):
            engine(*rules).restore(out.getvalue())


def test_a_snapshot_of_another_version_is_refused(engine, rules, blob):
    with np.load(io.BytesIO(blob)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    text = arrays["notes"].tobytes()
    assert b'"version":' in text
    head, _, tail = text.partition(b'"version":')
    digits = len(tail) - len(tail.lstrip(b"0123456789"))
    arrays["notes"] = np.frombuffer(head + b'"version":999' + tail[digits:], dtype=np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)
    with pytest.raises(InvalidError, match="999"):
        engine(*rules).restore(out.getvalue())


def test_a_client_under_a_decision_is_not_pushed_out_by_rotating_addresses(
    engine, rule, ask, wait, start
):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "volume")
    ]
    narrow = Capacity(64, 512, 256, 256, 64, 64, 2048)
    watched = engine(*spread, capacity=narrow)
    ask(watched, "192.0.2.9", count=30, account="key", user_agent="thief/1")
    ask(watched, "203.0.113.7", count=1, account="key", user_agent="thief/1")
    inherited = [d.target for d in watched.decisions() if d.target == "203.0.113.7/32"]
    assert ["203.0.113.7/32"] == inherited
    begin = watched.clock
    flood = [Record(ts=begin + i * 0.1, client=f"198.51.{i % 250}.{i // 250}") for i in range(640)]
    watched.step([Observed(flood)])
    assert "203.0.113.7/32" in watched.world.interner(Kind.CLIENT).rows
