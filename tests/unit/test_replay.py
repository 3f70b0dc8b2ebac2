"""Replay: lines in order through an engine, and an account of what it would have done."""

import gzip
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decode.base import MAX_LINE_BYTES, DecodeContext
from excise.decode.record import RecordDecoder
from excise.errors import SourceError
from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.entity import Entity, Kind
from excise.model.record import Decoded, Record, Reject
from excise.model.step import Alarm, Finding
from excise.replay import Accounting, replay
from excise.replay.accounting import client_name
from excise.replay.reading import read_lines
from excise.replay.summary import Share

RULE = "volume.output-burst"


def decision(target, action=Action.DROP, *, until=1000.0, rules=(RULE,), id_=""):
    plane = Plane.NETWORK if "/" in target else Plane.ACCOUNT
    return Decision(
        id=id_ or f"id-{target}",
        plane=plane,
        target=target,
        action=action,
        tier="slow" if action is Action.THROTTLE else None,
        since=0.0,
        until=until,
        score=90.0,
        rules=rules,
        reason=f"because of {target}",
        wanted=3 if action is Action.DROP else 1,
    )


def change(ts, target, op=Op.ADD, **how):
    return DecisionEvent(ts, op, decision(target, **how))


def record(ts, client="203.0.113.7", account="", tokens=10):
    return Record(ts=float(ts), client=client, account=account, output_tokens=tokens)


def finding(kind, name, rule=RULE):
    return Finding(0.0, rule, Entity(kind, name), 30.0, ())


def summarise(records, effects):
    accounting = Accounting([RULE])
    accounting.take(records, effects)
    return accounting.summary()


@pytest.mark.parametrize(("campaign", "bystanders"), [(None, 1), ("c-1", 0)])
def test_a_member_of_an_enforced_campaign_is_no_bystander(campaign, bystanders):
    one = change(1, "acct-1")
    member = replace(one.decision, campaign=campaign)
    records = [record(5, account="acct-1")]

    assert bystanders == summarise(records, [replace(one, decision=member)]).bystanders.records


@pytest.mark.parametrize(
    ("target", "covered"),
    [
        ("203.0.113.7/32", ["203.0.113.7"]),
        ("203.0.113.0/24", ["203.0.113.7", "203.0.113.8"]),
        ("203.0.113.0/29", ["203.0.113.7"]),
        ("2001:db8:1::/64", ["2001:db8:1::5"]),
        ("2001:db8::/32", ["2001:db8:1::5", "2001:db8:2::5"]),
        ("acct-1", ["192.0.2.1"]),
    ],
)
def test_a_decision_covers_the_records_of_its_target(target, covered):
    clients = ["203.0.113.7", "203.0.113.8", "2001:db8:1::5", "2001:db8:2::5", "192.0.2.1"]
    accounts = {"192.0.2.1": "acct-1"}
    records = [record(5, client, accounts.get(client, "acct-2")) for client in clients]
    (line,) = summarise(records, [change(1, target)]).targets

    assert (target, len(covered), 10 * len(covered)) == (
        line.target,
        line.records,
        line.output_tokens,
    )


def test_only_what_came_while_a_decision_held_is_under_enforcement():
    records = [record(ts) for ts in (1, 2, 3, 4, 5, 6)]
    effects = [change(3, "203.0.113.7/32"), change(5, "203.0.113.7/32", Op.LIFT)]

    assert Share(2, 20) == summarise(records, effects).stopped  # at 3 and 4


def test_a_decision_ends_with_its_time_even_before_the_engine_says_so():
    records = [record(ts) for ts in (1, 2, 3)]

    assert Share(2, 20) == summarise(records, [change(1, "203.0.113.7/32", until=3.0)]).stopped


def test_a_renewed_decision_holds_longer_and_counts_once():
    effects = [
        change(1, "203.0.113.7/32", until=3.0),
        change(2, "203.0.113.7/32", Op.RENEW, until=9.0),
    ]
    summary = summarise([record(ts) for ts in (1, 5, 9)], effects)

    assert Share(2, 20) == summary.stopped
    assert {"add": 1, "renew": 1} == summary.changes
    assert (1, 1) == (summary.targets_enforced, summary.targets[0].decisions)


def test_observing_touches_nothing():
    summary = summarise([record(2)], [change(1, "203.0.113.7/32", action=Action.OBSERVE)])

    assert (Share(), Share(), 0) == (summary.stopped, summary.throttled, summary.targets_enforced)


def test_an_escalation_counts_the_records_on_either_side_apart():
    effects = [
        change(1, "203.0.113.7/32", action=Action.THROTTLE),
        change(3, "203.0.113.7/32", Op.ESCALATE),
    ]
    summary = summarise([record(ts) for ts in (1, 2, 3)], effects)

    assert (Share(2, 20), Share(1, 10)) == (summary.throttled, summary.stopped)
    (line,) = summary.targets
    assert ("drop", 1, 3) == (line.action, line.decisions, line.records)


@pytest.mark.parametrize(
    ("first", "second", "charged"),
    [
        (("203.0.113.7/32", Action.THROTTLE), ("203.0.113.0/24", Action.DROP), "203.0.113.0/24"),
        (("203.0.113.7/32", Action.DROP), ("203.0.113.0/24", Action.THROTTLE), "203.0.113.7/32"),
        (("203.0.113.7/32", Action.THROTTLE), ("acct-1", Action.DENY), "acct-1"),
        (("203.0.113.7/32", Action.DROP), ("acct-1", Action.DENY), "203.0.113.7/32"),
        (("203.0.113.0/24", Action.DROP), ("acct-1", Action.DENY), "203.0.113.0/24"),
        (("203.0.113.0/24", Action.THROTTLE), ("acct-1", Action.THROTTLE), "203.0.113.0/24"),
    ],
)
def test_a_record_is_charged_once_to_the_strictest_decision(first, second, charged):
    effects = [change(1, target, action=action) for target, action in (first, second)]
    summary = summarise([record(2, account="acct-1")], effects)

    assert [charged] == [line.target for line in summary.targets if line.records]
    assert 1 == summary.stopped.records + summary.throttled.records


def test_a_wider_decision_that_comes_later_is_seen_for_a_client_known_before():
    summary = summarise(
        [record(2), record(4)],
        [change(1, "203.0.0.0/16", action=Action.THROTTLE), change(3, "203.0.113.0/24")],
    )

    assert (Share(1, 10), Share(1, 10)) == (summary.throttled, summary.stopped)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.CLIENT, "203.0.113.7/32"),
        (Kind.ACCOUNT, "acct-1"),
        (Kind.USE, "acct-1 via t13d tool/1"),
    ],
)
def test_evidence_on_client_account_or_its_use_makes_no_bystander(kind, name):
    effects = [change(1, "203.0.113.0/24"), finding(kind, name)]
    summary = summarise([record(2, account="acct-1")], effects)

    assert (Share(1, 10), Share()) == (summary.stopped, summary.bystanders)


@pytest.mark.parametrize(
    "effect",
    [
        finding(Kind.SUBNET, "203.0.113.0/24"),
        finding(Kind.CLIENT, "203.0.113.9/32"),
        finding(Kind.ACCOUNT, "acct-1", rule="volume.experiment"),
    ],
)
def test_evidence_on_others_or_of_untrusted_rules_leaves_a_bystander(effect):
    summary = summarise([record(2, account="acct-1")], [change(1, "203.0.113.0/24"), effect])

    assert Share(1, 10) == summary.bystanders


def test_a_decision_on_several_rules_counts_for_each():
    effects = [
        change(1, "203.0.113.7/32", rules=("a.x", "b.y")),
        finding(Kind.CLIENT, "203.0.113.7/32", "a.x"),
        finding(Kind.CLIENT, "203.0.113.7/32", "c.z"),
    ]
    lines = summarise([record(2)], effects).rules

    assert [("a.x", 1, 1, 10), ("b.y", 0, 1, 10), ("c.z", 1, 0, 0)] == [
        (line.rule, line.fired, line.records, line.output_tokens) for line in lines
    ]


def test_traffic_is_counted_whatever_is_decided():
    accounting = Accounting([])
    accounting.decoded(4, Decoded([], [Reject("syntax", b"x"), Reject("syntax", b"y")], 3))
    accounting.take([record(7), record(5), record(9, tokens=-1)], [])
    summary = accounting.summary()

    assert (4, {"syntax": 2}, 3) == (summary.lines, summary.rejects, summary.unknown_fields)
    assert (5.0, 9.0) == (summary.first_ts, summary.last_ts)
    assert Share(3, 20) == summary.traffic


def test_alarms_are_kept_and_counted():
    summary = summarise([], [Alarm(1.0, "governor-tripped", "too many")] * 30)

    assert (20, 30) == (len(summary.alarms), summary.alarm_count)
    assert "governor-tripped: too many" == summary.alarms[0]


def test_an_address_is_the_client_that_the_engine_scores():
    assert "203.0.113.7/32" == client_name("203.0.113.7")
    assert "2001:db8:1:2::/64" == client_name("2001:db8:1:2:3::4")


@given(st.lists(st.binary(max_size=30)), st.integers(1, 40))
def test_lines_are_whole_however_the_bytes_come(lines, chunk):
    lines = [line.replace(b"\n", b"") for line in lines]

    class Dribble(io.BytesIO):
        def read(self, _=-1):
            return super().read(chunk)

    found = [line for some in read_lines(Dribble(b"\n".join(lines) + b"\n")) for line in some]

    assert (lines or [b""]) == found


def test_a_line_without_end_takes_no_memory_and_the_next_one_is_whole():
    stream = io.BytesIO(b"x" * (5 << 20) + b"\nnext\n")
    found = [line for some in read_lines(stream) for line in some]

    assert [b"next"] == found[1:]
    assert MAX_LINE_BYTES < len(found[0]) < 3 << 20


class Echo:
    """An engine that drops whom it sees, and remembers what it saw."""

    def __init__(self):
        self.seen = []

    def step(self, inputs, now=None):
        records = [record for one in inputs for record in one.records]
        self.seen += records
        return [change(r.ts, f"{r.client}/32") for r in records]


def line(ts, client="203.0.113.7"):
    return json.dumps({"ts": 1767571200 + ts, "client": client}).encode() + b"\n"


def run(inputs, **how):
    engine, accounting, out = Echo(), Accounting([]), []
    context = DecodeContext((), b"")
    replay(
        map(str, inputs),
        lambda _: RecordDecoder(context),
        engine,
        accounting,
        sink=out.append,
        **how,
    )
    return engine, accounting.summary(), out


def test_inputs_are_read_in_order_plain_packed_and_standard(tmp_path, monkeypatch):
    plain, packed = tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz"
    plain.write_bytes(line(1) + b"broken\n" + line(2))
    packed.write_bytes(gzip.compress(line(3)))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line(4).strip())))
    read = []
    engine, summary, _ = run([plain, packed, "-"], progress=read.append)

    assert [1, 2, 3, 4] == [r.ts - 1767571200 for r in engine.seen]
    assert (5, {"syntax": 1}) == (summary.lines, summary.rejects)
    assert len(line(1)) * 4 + len(b"broken\n") == sum(read)


def test_every_change_is_one_line_of_the_decision_stream(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(line(1))
    _, _, out = run([path])

    expected = (
        b'{"ts":1767571201.0,"op":"add","id":"id-203.0.113.7/32","plane":"network",'
        b'"target":"203.0.113.7/32","action":"drop","until":1000.0,"score":90.0,'
        b'"rules":["volume.output-burst"],"reason":"because of 203.0.113.7/32"}\n'
    )
    assert [expected] == out


def test_a_file_of_blank_lines_is_an_empty_one(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\n \n\n")

    assert [] == run([path])[0].seen


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.ndjson", None),
        ("torn.gz", gzip.compress(line(1) * 100, mtime=0)[:-20]),
        ("plain.gz", line(1)),
        ("broken.gz", gzip.compress(line(1), mtime=0)[:12] + b"\xff" * 40),
    ],
)
def test_an_input_that_cannot_be_read_is_named(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SourceError, match=f"{path} cannot be read: "):
        run([path])
