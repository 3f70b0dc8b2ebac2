"""Lines that nobody should have written: each is a counted reject or a record, none is lost."""

import gzip
import json
import random

import pytest

from excise.decode.base import MAX_LINE_BYTES

START = 1_750_000_000.0
GOOD = {"ts": START, "client": "198.51.100.77", "output_tokens": 1}
NASTY = "\x1b[2J\x1b]0;owned\x07 evil\r\nline \x9b31m \x7f\u202e\u2028"
NOISE = random.Random(7).randbytes(5000).replace(b"\n", b"\0")


def line(**fields):
    return json.dumps(GOOD | fields).encode()


#: line, and the reason for which it is rejected; "" for a record, None for a blank line
LINES = [
    (NOISE, "binary"),
    (b"\xff\xfe\xfa", "encoding"),
    (b"\x1b[2J\x1b]0;owned\x07", "binary"),
    (b"", None),
    (b" \t \r", None),
    (b"null", "not-an-object"),
    (b"[]", "not-an-object"),
    (b"{}", "missing:ts"),
    (b'{"ts": 1750000000, "client": "198.51.100.77"', "syntax"),
    (b"[" * 60_000, "depth"),
    (b'{"a":' * 40_000, "depth"),
    (b"x" * 1_000_000, "too-long"),
    (line(user_agent="u" * 1_000_000), "too-long"),
    (b'{"ts":' + b" " * MAX_LINE_BYTES + b"}", "too-long"),
    (line(ts="yesterday"), "type:ts"),
    (line(ts=[]), "type:ts"),
    (line(ts=-5), "range:ts"),
    (line(ts=0), "range:ts"),
    (line(ts="1970-01-01T00:00:00Z"), "range:ts"),
    (line(ts=1e400), "range:ts"),
    (line(ts="2100-01-01T00:00:00Z"), "range:ts"),
    (line(ts=None), "missing:ts"),
    (line(client=None), "missing:client"),
    (line(client={}), "type:client"),
    (line(client=True), "type:client"),
    (line(client=7), "address:client"),
    (line(client="fe80::1%eth0"), "address:client"),
    (line(client="198.51.100.77/32"), "address:client"),
    (line(client="198.51.100.77\n"), "address:client"),
    (line(client="999.1.1.1"), "address:client"),
    (line(peer="unix:"), "address:peer"),
    (line(status="fine"), "type:status"),
    (line(status=99999), "range:status"),
    (line(output_tokens=-1), "range:output_tokens"),
    (line(output_tokens=10**30), "range:output_tokens"),
    (line(duration=float("nan")), "range:duration"),
    (line(path={}), "type:path"),
    (line(prompt="text of a prompt"), "type:prompt"),
    (line(simhash="no hex"), "type:simhash"),
    (
        b'{"ts":1750000000,"client":"198.51.100.77","client":"198.51.100.78"}',
        "duplicate-key",
    ),
    (
        b'{"ts":1750000000,"client":"198.51.100.77","cl\\u0069ent":"198.51.100.78"}',
        "duplicate-key",
    ),
    (
        b'{"ts":1750000000,"client":"198.51.100.77","path":"/","account":"a","account":"b"}',
        "duplicate-key",
    ),
    (line(path='/","client":"192.0.2.5","x":"'), ""),
    (line(client="0.0.0.0"), ""),
    (line(client="::"), ""),
    (line(client="255.255.255.255"), ""),
    (line(client="127.0.0.1"), ""),
    (line(account=NASTY), ""),
    (line(account="a" * 10_000), ""),
    (line(account="\ud800"), ""),
    (line(user_agent="u" * 20_000), ""),
    (line(user_agent=NASTY, model=NASTY, path=NASTY, method=NASTY), ""),
    (line(max_tokens="a lot", temperature={}, stream="perhaps"), ""),
    (line(ts="2099-06-01T00:00:00Z"), ""),
    (line(no_such_field={"deep": [1, {"client": "192.0.2.5"}]}), ""),
]


def all_lines():
    """Return the lines with a good one before and after each, and the counts they must lead to."""
    lines = [raw for one, _ in LINES for raw in (line(), one)] + [line()]
    rejects = {}
    for _, reason in LINES:
        if reason:
            rejects[reason] = rejects.get(reason, 0) + 1
    records = len(LINES) + 1 + sum(reason == "" for _, reason in LINES)
    return lines, records, rejects


def test_every_line_is_a_record_a_counted_reject_or_blank(excise):
    lines, records, rejects = all_lines()
    host = excise()
    host.append(*lines)
    host.start()
    seen = host.wait_for_lines(len(lines))

    assert rejects == seen["rejects"]
    assert records == seen["records"]
    blank = sum(reason is None for _, reason in LINES)
    assert seen["records"] + sum(rejects.values()) + blank == seen["lines"] == len(lines)
    # What lay between the bad lines arrived where it belongs, and nowhere else.
    about = host.ask("explain", "198.51.100.77")
    forged = sum(b"198.51.100.77" not in one for one, why in LINES if why == "")
    assert about["features"]["total"] == records - forged
    for other in ("198.51.100.78", "192.0.2.5"):
        assert host("explain", other).returncode == 1

    # One line from the future moves no clock.
    assert START <= host.ask("status")["engine"]["clock"] < START + 600
    assert "task-failed" not in host.alarms()


def test_a_replay_counts_the_same(excise):
    lines, records, rejects = all_lines()
    host = excise()
    plain, packed = host.root / "plain.log", host.root / "packed.log.gz"
    plain.write_bytes(b"\n".join(lines))  # no newline at the end
    packed.write_bytes(gzip.compress(b"\n".join(lines)))

    for name in (plain, packed):
        seen = host.ask("replay", name, "--format", "record")
        assert (len(lines), rejects) == (seen["lines"], seen["rejects"])
        assert records == seen["traffic"]["records"]


def test_lines_without_end_are_counted_once_and_end_with_their_newline(excise):
    host = excise()
    host.start()
    host.append(line())
    host.wait_for_lines(1)
    with host.log.open("ab", buffering=0) as log:
        for _ in range(3):
            log.write(b"x" * 1_000_000)
        assert {"too-long": 1} == host.wait_for_lines(2)["rejects"]
        log.write(b"\n" + line() + b"\n" + line()[:20])
        assert 2 == host.wait_for_lines(3)["records"]
        log.write(line()[20:] + b"\n")

    seen = host.wait_for_lines(4)

    assert (3, {"too-long": 1}) == (seen["records"], seen["rejects"])


@pytest.mark.parametrize("verb", ["daemon", "replay"])
def test_who_forges_a_protected_client_gets_nobody_blocked(excise, requests, verb):
    forged = ["192.0.2.10", "198.51.100.1", "2001:db8::1", "127.0.0.1", "::1", "::"]
    host = excise(never_block=["192.0.2.0/24", "2001:db8::/32"], trusted_proxies=["198.51.100.1"])
    for client in forged:
        host.append(*requests(30, client=client))
    host.append(*requests(30))

    if verb == "replay":
        out = host("replay", host.log, "--format", "record", "--decisions", "-").stdout
        targets = {json.loads(one)["target"] for one in out.splitlines()}
    else:
        host.start()
        host.wait_for_lines(30 * (len(forged) + 1))
        targets = {d["target"] for d in host.ask("decisions")["decisions"]}

    assert {"203.0.113.7/32"} == targets


def test_no_verb_prints_a_control_character(excise, requests):
    host = excise()
    rule = host.rule("volume").read_text()
    rule = rule.replace("kind: client", "kind: account").replace(
        "{client: 203.0.113.7,", "{client: 203.0.113.7, account: a,"
    )
    host.rule("volume").write_text(rule.replace("fires: 203.0.113.7/32", "fires: a"))
    shape = rule.replace("volume", "shape").replace("fires: 203.0.113.7/32", "fires: a")
    host.rule("shape").write_text(shape.replace("total, above: 8", "output_tokens_24h, above: 9"))
    names = [NASTY, "long" + "a" * 10_000, "../../etc/passwd", "%2e%2e?x=1#y", "--help"]
    for name in names:
        host.append(*requests(40, account=name, user_agent=NASTY, path=NASTY, model=NASTY))
    host.append(NASTY.encode(), NASTY.encode("utf-16"))
    host.start()
    host.wait_for_lines(len(names) * 40)

    verbs = [
        ["status"],
        ["sources", "--kind", "account"],
        ["decisions"],
        ["events", "--no-follow", "--after", "0", "--findings", "--alarms"],
        *(["explain", "--", name] for name in names[:2]),
        ["explain", "no such \x1b[2J account"],
        ["replay", str(host.log), "--format", "record"],
        ["replay", str(host.log), "--format", "record", "--decisions", "-"],
    ]
    said = b""
    for verb in verbs:
        for more in ([], ["--json"]):
            head, *rest = verb
            done = host(head, *more, *rest)
            for text in (done.stdout, done.stderr):
                assert all(map(str.isprintable, text.decode().split("\n"))), (verb, more)
            said += done.stdout
    assert said.count(b"evil") > 10
    assert {5 * "a"} <= {d["target"][4:9] for d in host.ask("decisions")["decisions"]}

    # An operator finds, decides on and frees an account by its name, whatever that is.
    for name in (names[0], names[-1]):
        assert 40 == host.ask("explain", "--", name)["features"]["total"]
        assert host("drop", "--reason", NASTY, "--", name).returncode == 0
        assert host("lift", "--", name).returncode == 0
    assert all(map(str.isprintable, host.errors.read_text().split("\n")))
