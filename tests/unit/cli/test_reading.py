"""The reading verbs: exact text for people, JSON for programs."""

import json

import pytest
from msgspec.structs import replace

from excise import __version__
from excise.model.view import TrialsView, TrialView

TEXTS = {
    ("status",): f"""\
excise {__version__}, up since 1970-01-01T00:15:00Z
posture    throttle
ready      yes
engine     12,345 records, 2 late, event time 1970-01-01T00:16:40Z, 3 with evidence
decisions  2 active, 2 enforcing
enforcer   nftables, in sync: 2 entries, 9 changes, 1 repair, 0 failures
taken      by drops 40 packets, 2.3 KiB
taken      by throttles egress 7 packets, 10.0 KiB
taken      of it crawl: egress 7 packets, 10.0 KiB
others     1 change, last 1970-01-01T00:16:39Z nft (pid 4711) deleted table ip excise
campaigns  1 enforced with 60 accounts, 0 watched
trials     off
blind      prompt is hardly ever logged: no templates
rules      2 loaded
input      /var/log/nginx/excise.log (record): following, 0 bytes behind, 12,345 records, \
5 rejects (no-ts 4, not-json 1), last line 1970-01-01T00:16:40Z
""",
    ("decisions",): """\
TARGET          ACTION          UNTIL                 SCORE     TAKEN  BY        ID  REASON
203.0.113.7/32  throttle crawl  1970-01-01T00:31:40Z  61.25  10.0 KiB  rules     d1  \
It asks for far more than others do.
acct-9          deny            1970-01-01T00:31:40Z  61.25         -  operator  d2  \
Asked for by its owner.
""",
    ("decisions", "--plane", "account", "--action", "deny", "--target", "acct-9"): """\
TARGET  ACTION  UNTIL                 SCORE  TAKEN  BY        ID  REASON
acct-9  deny    1970-01-01T00:31:40Z  61.25      -  operator  d2  Asked for by its owner.
""",
    ("decisions", "--campaign", "c9"): "no decisions\n",
    ("sources",): """\
SCORE  KIND    NAME             REQUESTS/24H  TOKENS/24H  LAST SEEN             RULES
61.25  client  203.0.113.7/32          5,000   2,500,000  1970-01-01T00:16:30Z  volume.flood
 30.5  subnet  203.0.113.0/24          5,000   2,500,000  1970-01-01T00:16:30Z  volume.flood
   22  client  198.51.100.9/32         5,000   2,500,000  1970-01-01T00:16:30Z  volume.flood
""",
    ("sources", "--kind", "account", "--limit", "1"): """\
SCORE  KIND     NAME    REQUESTS/24H  TOKENS/24H  LAST SEEN             RULES
   88  account  acct-9         5,000   2,500,000  1970-01-01T00:16:30Z  volume.flood
""",
    ("campaigns",): """\
ID   STATE                                SCORE  ACCOUNTS  OUTPUT/24H  OUTPUT/30D  \
LAST SEEN             RULES
c-1  enforced since 1970-01-01T00:15:00Z    104        60   2,500,000   3,000,000  \
1970-01-01T00:16:30Z  graph.moving-fleet
""",
    ("explain", "c-1"): """\
c-1 (campaign): score 104

campaign c-1: 60 accounts over 40 addresses.

EVIDENCE
none

DECISIONS
TARGET  ACTION  UNTIL                 SCORE  TAKEN  BY        ID  REASON
acct-9  deny    1970-01-01T00:31:40Z  61.25      -  operator  d2  Asked for by its owner.
""",
    ("posture",): "throttle\n",
    ("allow",): """\
CIDR          ORIGIN       UNTIL
192.0.2.1/32  own address  for good
""",
    ("explain", "203.0.113.7"): """\
203.0.113.7/32 (client): score 61.25, 20 of it inherited

It sent 4,120 requests within the hour.
Nobody else does.

EVIDENCE
RULE          FAMILY  POINTS  FIRED                 FEATURE      VALUE  THRESHOLD
volume.flood  volume   41.25  1970-01-01T00:16:35Z  requests_1h  4,120    1,800.5

DECISIONS
TARGET          ACTION          UNTIL                 SCORE     TAKEN  BY     ID  REASON
203.0.113.7/32  throttle crawl  1970-01-01T00:31:40Z  61.25  10.0 KiB  rules  d1  \
It asks for far more than others do.

TAKEN AWAY
203.0.113.7/32: egress 7 packets, 10.0 KiB
as read 1970-01-01T00:16:40Z

COLLATERAL
5 % of the traffic or of the accounts behind it are honest, whichever is more.
""",
    ("events", "--no-follow", "--findings"): """\
1970-01-01T00:16:40Z add throttle crawl 203.0.113.7/32 until 1970-01-01T00:31:40Z: \
It asks for far more than others do.
1970-01-01T00:16:40Z finding volume.flood client 203.0.113.7/32: requests_1h 4,120 against 1,800.5
1970-01-01T00:16:41Z alarm governor-tripped: 600 new decisions within a minute
1970-01-01T00:16:42Z lift throttle crawl 203.0.113.7/32 until 1970-01-01T00:31:40Z: \
It asks for far more than others do.
""",
}


@pytest.mark.parametrize("arguments", TEXTS, ids=" ".join)
def test_a_person_is_shown(served, excise, arguments):
    done = excise(*arguments, socket=served.socket_path)
    assert (0, TEXTS[arguments], "") == (done.returncode, done.stdout, done.stderr)


def test_top_without_a_terminal_shows_one_frame(served, excise):
    done = excise("top", socket=served.socket_path)
    assert (0, TEXTS["status",] + "\n" + TEXTS["sources",]) == (done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("arguments", "route"),
    [
        (("status",), "/v1/status"),
        (("decisions",), "/v1/decisions"),
        (("decisions", "--plane", "network"), "/v1/decisions?plane=network"),
        (("sources",), "/v1/sources?limit=20"),
        (("sources", "--kind", "subnet"), "/v1/sources?kind=subnet"),
        (("sources", "--kind", "account"), "/v1/accounts"),
        (("campaigns",), "/v1/campaigns"),
        (("allow",), "/v1/allow"),
        (("posture",), "/v1/posture"),
        (("explain", "203.0.113.0/24"), "/v1/sources/203.0.113.0%2F24"),
        (("explain", "acct-9"), "/v1/accounts/acct-9"),
        (("explain", "c-1"), "/v1/campaigns/c-1"),
    ],
)
def test_a_program_is_given_the_apis_own_object_on_one_line(served, excise_here, arguments, route):
    done = excise_here(*arguments, "--json", socket=served.socket_path)
    assert (0, 1) == (done.returncode, done.stdout.count("\n"))
    assert served.ask("GET", route)[2] == json.loads(done.stdout)


def test_top_streams_frames_to_a_program(served, excise):
    done = excise("top", "--json", "--count", 2, "--interval", "0.1", socket=served.socket_path)
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    assert (0, 2) == (done.returncode, len(frames))
    assert {"status", "sources"} == set(frames[0])


def test_an_empty_host_says_so(served_empty, excise):
    served_empty.control.inputs = list
    at = served_empty.socket_path
    assert "no decisions\n" == excise("decisions", socket=at).stdout
    assert "" == excise("events", "--no-follow", socket=at).stdout
    assert excise("status", socket=at).stdout.endswith("input      none\n")


def test_what_is_amiss_is_said(served, excise):
    served.control.reasons = ["no input can be read"]
    served.control.engine.tripped = "600 new decisions within a minute"
    lines = excise("status", socket=served.socket_path).stdout.splitlines()
    assert [
        "posture    throttle, held at observe (600 new decisions within a minute)",
        "ready      no: no input can be read",
    ] == lines[1:3]
    assert (
        "throttle, held at observe: 600 new decisions within a minute\n"
        == excise("posture", socket=served.socket_path).stdout
    )


def test_control_characters_of_strangers_never_reach_a_terminal(served, excise):
    served.control.engine.active = [
        type(d)(**{f: getattr(d, f) for f in d.__slots__} | {"reason": "a\x1b[2Jb\nc"})
        for d in served.control.engine.active
    ]
    shown = excise("decisions", socket=served.socket_path).stdout
    assert "\x1b" not in shown
    assert "a\\x1b[2Jb\\nc" in shown
    assert 3 == shown.count("\n")


def test_doubt_about_peers_is_told_where_people_look(excise, served):
    served.control.engine.doubt = "3 addresses carry 98% of requests"
    shown = excise("status", socket=served.socket_path)
    told = "peers      doubted, no network is enforced: 3 addresses carry 98% of requests"
    assert told in shown.stdout.splitlines()


def test_trials_are_told_in_the_status_and_beside_their_campaign(excise, served, monkeypatch):
    engine = served.control.engine
    status, listed = engine.status(), engine.campaigns()
    on = replace(status, trials=TrialsView(enabled=True, running=1, accounts=24))
    monkeypatch.setattr(engine, "status", lambda: on)
    trial = TrialView(
        state="running",
        begun_ts=900.0,
        until_ts=2700.0,
        slowed=24,
        rest=96,
        expected_z=5.2,
        p=None,
        gained_requests=None,
        lost_requests=None,
        why="",
    )
    watched = [replace(c, enforced_ts=None, trial=trial) for c in listed]
    monkeypatch.setattr(engine, "campaigns", lambda: watched)

    shown = excise("status", socket=served.socket_path).stdout.splitlines()
    assert "trials     on, 1 campaign under trial with 24 accounts slowed" in shown
    shown = excise("campaigns", socket=served.socket_path).stdout
    assert "c-1  watched, under trial" in shown
    told = json.loads(excise("campaigns", "--json", socket=served.socket_path).stdout)
    assert ("running", 24) == tuple(told["campaigns"][0]["trial"][k] for k in ("state", "slowed"))
