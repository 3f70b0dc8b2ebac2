"""The verbs that change something: what they send, what they say."""

import json

import pytest

from excise.model.decision import Action, Posture
from excise.model.step import Allow, Disallow, Lift, Place, SetPosture
from excise.model.view import ReloadView

CASES = {
    ("drop", "203.0.113.9", "--reason", "by hand"): (
        Place("203.0.113.9/32", Action.DROP, None, 3600.0, "by hand"),
        "203.0.113.9/32: drop until 1970-01-01T01:16:40Z (decision op1)\n",
    ),
    ("drop", "2001:db8::7", "--for", "2d", "--reason", "by hand", "--force"): (
        Place("2001:db8::7/128", Action.DROP, None, 172_800.0, "by hand", force=True),
        "2001:db8::7/128: drop until 1970-01-03T00:16:40Z (decision op1)\n",
    ),
    ("drop", "acct-10", "--reason", "stolen key"): (
        Place("acct-10", Action.DENY, None, 3600.0, "stolen key"),
        "acct-10: deny until 1970-01-01T01:16:40Z (decision op1)\n",
    ),
    ("throttle", "203.0.113.0/24", "--tier", "slow", "--for", "90s", "--reason", "why"): (
        Place("203.0.113.0/24", Action.THROTTLE, "slow", 90.0, "why"),
        "203.0.113.0/24: throttle slow until 1970-01-01T00:18:10Z (decision op1)\n",
    ),
    ("lift", "203.0.113.7"): (
        Lift(target="203.0.113.7/32"),
        "203.0.113.7/32: lifted throttle crawl (d1)\n",
    ),
    ("lift", "acct-9"): (Lift(target="acct-9"), "acct-9: lifted deny (d2)\n"),
    ("lift", "d1"): (Lift(id="d1"), "203.0.113.7/32: lifted throttle crawl (d1)\n"),
    ("allow", "198.51.100.0/24"): (
        Allow("198.51.100.0/24", None),
        """\
CIDR             ORIGIN       UNTIL
192.0.2.1/32     own address  for good
198.51.100.0/24  operator     for good
""",
    ),
    ("allow", "198.51.100.7", "--for", "1h30m"): (
        Allow("198.51.100.7/32", 5400.0),
        """\
CIDR             ORIGIN       UNTIL
192.0.2.1/32     own address  for good
198.51.100.7/32  operator     1970-01-01T01:46:40Z
""",
    ),
    ("disallow", "192.0.2.1"): (Disallow("192.0.2.1/32"), "nothing is allowed\n"),
    ("posture", "enforce"): (SetPosture(Posture.ENFORCE), "enforce\n"),
}


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_a_verb_sends_one_wish_and_says_what_came_of_it(served, excise, arguments):
    wish, text = CASES[arguments]
    done = excise(*arguments, socket=served.socket_path)
    assert (0, text, "") == (done.returncode, done.stdout, done.stderr)
    assert wish == served.control.submitted[-1]


def test_a_reload_says_what_is_in_force_and_what_waits(served, excise):
    done = excise("reload", socket=served.socket_path)
    expected = "reloaded: 2 rules in force; a restart is needed for ports\n"
    assert (0, expected) == (done.returncode, done.stdout)


def test_a_program_is_given_the_decision_that_was_placed(served, excise):
    done = excise("drop", "203.0.113.9", "--reason", "x", "--json", socket=served.socket_path)
    assert ("203.0.113.9/32", "drop") == tuple(
        json.loads(done.stdout)[key] for key in ("target", "action")
    )


def test_a_posture_that_holds_a_decision_back_is_mentioned(served, excise, daemon_module):
    held = daemon_module.make_decision(id="op1", target="203.0.113.9/32", action=Action.OBSERVE)

    async def submit(*_):
        served.control.engine.active.append(held)
        return []

    served.control.submit = submit
    done = excise("drop", "203.0.113.9", "--reason", "x", socket=served.socket_path)
    assert done.stdout.endswith("; the posture lets no drop through\n")


def test_allowing_what_an_operator_drops_says_that_the_drop_waits(served, excise):
    excise("drop", "198.51.100.7", "--reason", "by hand", socket=served.socket_path)
    excise("drop", "2001:db8::7", "--reason", "by hand", socket=served.socket_path)

    done = excise("allow", "198.51.100.0/24", socket=served.socket_path)

    assert (0, "198.51.100.0/24" in done.stdout) == (done.returncode, True)
    assert (
        "excise: 198.51.100.7/32 is under drop by an operator's decision, which bites again where "
        "it is allowed no more; to end it: excise lift 198.51.100.7/32\n" == done.stderr
    )


STATUSES = {
    ("drop", "192.0.2.1", "--reason", "x"): (4, "excise: 192.0.2.1/32 is this host's own address"),
    ("lift", "203.0.113.99"): (1, "excise: nothing is decided on 203.0.113.99/32"),
    ("lift", "nobody"): (1, "excise: nothing is decided on nobody"),
    ("explain", "nobody"): (1, "excise: nothing is known of nobody"),
    ("explain", "198.51.100.250"): (1, "excise: nothing is known of 198.51.100.250"),
    ("disallow", "198.51.100.0/24"): (1, "excise: 198.51.100.0/24 is not allowed"),
    ("allow", "acct-9"): (2, "excise: 'acct-9' is not an address or CIDR"),
    ("decisions", "--plane", "moon"): (2, "excise: Invalid enum value 'moon' - at `$.plane`"),
    ("drop", "203.0.113.9", "--reason", " "): (
        2,
        "excise: an operator's decision needs a target and a reason",
    ),
}


@pytest.mark.parametrize("arguments", STATUSES, ids=" ".join)
def test_a_failure_has_its_exit_status_and_one_line(served, excise, arguments):
    status, line = STATUSES[arguments]
    done = excise(*arguments, socket=served.socket_path)
    assert (status, "", line + "\n") == (done.returncode, done.stdout, done.stderr)


def test_a_refused_reload_names_every_error(served, excise):
    errors = ("a.yaml:3:1: unknown key", "b.yaml:1:1: no tests")
    served.control.reload_view = ReloadView(applied=False, rules=2, errors=errors)
    done = excise("reload", socket=served.socket_path)
    assert (5, "") == (done.returncode, done.stdout)
    assert (
        "excise: nothing was changed, 2 rules stay in force: "
        "a.yaml:3:1: unknown key; b.yaml:1:1: no tests\n" == done.stderr
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("drop", "203.0.113.9"),
        ("drop", "203.0.113.9", "--reason", "x", "--for", "soon"),
        ("throttle", "--reason", "x"),
        ("allow", "198.51.100.0/24", "--for", "1"),
        ("posture", "panic"),
        ("sources", "--limit", "0"),
        ("sources", "--kind", "stack"),
        ("status", "--verbose"),
        ("status", "extra"),
        ("events", "--after", "-1"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_told_how_before_anything_is_asked(excise_here, tmp_path, arguments):
    done = excise_here(*arguments, socket=tmp_path / "none.sock")
    assert (2, "") == (done.returncode, done.stdout)
    assert f"Usage: excise {arguments[0]}" in done.stderr
