import io
import json

import pytest

from excise.daemon.culprits import MOST_NAMED, Culprits
from excise.enforce.base import ForeignChange, Witnessed
from excise.log import make_log


@pytest.fixture
def written():
    return io.StringIO()


@pytest.fixture
def culprits(written):
    return Culprits(make_log(written, as_json=True), lambda: 50.0)


def change(pid, deed="deleted table ip excise"):
    return ForeignChange(pid, "nft", (deed,))


def test_who_was_heard_is_named_once(culprits):
    culprits.heard(Witnessed((change(1), change(1), change(2)), listening=True))

    assert culprits.named() == (
        "nft (pid 1) deleted table ip excise; nft (pid 2) deleted table ip excise"
    )
    assert culprits.named() == "by others"


def test_who_was_heard_a_moment_before_the_drift_showed_is_named(culprits):
    culprits.heard(Witnessed((change(1),), listening=True))
    culprits.pass_over()
    culprits.heard(Witnessed(listening=True))

    assert culprits.named() == "nft (pid 1) deleted table ip excise"


def test_who_did_something_harmless_long_ago_is_not_named(culprits):
    culprits.heard(Witnessed((change(1),), listening=True))
    culprits.pass_over()
    culprits.pass_over()

    assert culprits.named() == "by others"
    assert culprits.view().last == "nft (pid 1) deleted table ip excise"


def test_a_crowd_is_not_named_one_by_one(culprits):
    culprits.heard(Witnessed(tuple(map(change, range(MOST_NAMED + 3)))))

    assert culprits.named().endswith(", and 3 more")


def test_what_was_heard_lost_or_cannot_be_heard_is_logged_and_shown(culprits, written):
    culprits.heard(Witnessed((change(7),), others=3, lost=1, listening=True))
    for _ in range(2):  # said once
        culprits.heard(Witnessed(problem="cannot listen for changes of others: no right"))
    events = [json.loads(line) for line in written.getvalue().splitlines()]

    assert [e["event"] for e in events] == [
        "enforce.audit_lost",
        "enforce.foreign_change",
        "enforce.audit_failed",
    ]
    assert (7, "nft", ["deleted table ip excise"]) == tuple(
        events[1][key] for key in ("pid", "process", "did")
    )
    view = culprits.view()
    assert (1, 3, 1, 50.0) == (view.foreign, view.others, view.lost, view.last_ts)
    assert view.state.startswith("cannot listen")
