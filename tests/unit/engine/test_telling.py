"""Scores and sentences for a person."""

import pytest

from excise.errors import NotFoundError
from excise.model.decision import Action
from excise.model.entity import Kind
from excise.model.step import Allow, Place

CLIENT = "203.0.113.7/32"


def test_sentences_carry_the_numbers(engine, guilty, ask, wait):
    watched = engine(*guilty)
    ask(watched, count=8, account="a")
    wait(watched, 12)
    told = watched.explain("203.0.113.7")
    text = " ".join(told.sentences)
    assert ("client", CLIENT) == (told.kind, told.name)
    assert "8 requests" in text
    assert "800 output tokens" in text
    assert "Score 70 of 60" in text
    assert "volume 35" in text
    assert "requests_1h 5 (above 4.50)" in text or "requests_1h 5.00 (above 4.50)" in text
    assert f"drop {CLIENT} on the network plane" in text
    assert 70.0 == pytest.approx(told.score, abs=0.1)
    assert {"volume.x", "shape.x"} == {e.rule for e in told.evidence}
    assert [d.id for d in watched.decisions() if d.target == CLIENT] == list(told.decisions)
    assert 8 == told.features["total"]


def test_what_its_keys_have_in_common_is_said_once(engine, rule, ask):
    watched = engine(rule("volume.x", "volume", 30.0, kind=Kind.USE))
    for account in "ab":
        ask(watched, count=6, account=account)
    about = [s for s in watched.explain(CLIENT).sentences if "requests_1h" in s]
    assert [True] == [s.endswith(" (above 4.50) (2 times).") for s in about]


def test_an_address_a_network_around_it_an_account_a_stack_and_a_template_are_found(
    engine, guilty, ask
):
    watched = engine(*guilty)
    ask(watched, account="acct", user_agent="agent/1", prompt=("beef",))
    asked = ("203.0.113.7", "203.0.113.0/24", "acct", "agent/1", "beef")
    kinds = [watched.explain(name).kind for name in asked]
    assert ["client", "subnet", "account", "stack", "template"] == kinds


def test_a_host_of_a_v6_client_is_explained_as_its_64(engine, guilty, ask):
    watched = engine(*guilty)
    ask(watched, "2001:db8:1:2::9")
    assert "2001:db8:1:2::/64" == watched.explain("2001:db8:1:2::77").name


@pytest.mark.parametrize("name", ["192.0.2.200", "2001:db8::1", "nobody", "", "198.51.100.0/24"])
def test_what_was_never_seen_is_not_found(engine, guilty, ask, name):
    watched = engine(*guilty)
    ask(watched)
    with pytest.raises(NotFoundError):
        watched.explain(name)


def test_what_was_never_seen_but_is_decided_about_is_explained(engine):
    watched = engine()
    watched.step([Place("198.51.100.0/24", Action.DROP, None, 3600.0, "by hand")], 1.7e9)
    told = watched.explain("198.51.100.0/24")
    assert any("by hand" in s and "60 min left" in s for s in told.sentences)


def test_a_safe_network_is_told(engine, guilty, ask):
    watched = engine(*guilty)
    watched.step([Allow("203.0.113.0/24")], 1.7e9)
    ask(watched)
    assert any("203.0.113.0/24 is safe" in s for s in watched.explain(CLIENT).sentences)


def test_one_without_evidence_is_told_so(engine, guilty, ask):
    watched = engine(*guilty)
    ask(watched, count=1)
    told = watched.explain(CLIENT)
    assert (0.0, ()) == (told.score, told.evidence)
    assert any("No rule" in s for s in told.sentences)


def test_scored_lists_the_highest_first_and_as_many_as_asked_for(engine, rule, ask):
    watched = engine(
        rule("volume.x", "volume", 30.0, above=4.5), rule("shape.x", "shape", 25.0, above=9.5)
    )
    for i, count in enumerate((6, 12, 3, 6)):
        ask(watched, f"198.51.{100 + i}.1", count=count, every_s=0.1)
    listed = watched.scored("client")
    assert ["198.51.101.1/32", "198.51.100.1/32", "198.51.103.1/32"] == [s.name for s in listed]
    assert ("shape", "volume") == listed[0].families
    assert ("shape.x", "volume.x") == listed[0].rules
    assert pytest.approx(12, rel=0.01) == listed[0].requests_24h
    assert listed[:1] == watched.scored("client", limit=1)


def test_a_member_of_a_guilty_subnet_is_explained_by_what_speaks_against_the_subnet(
    engine, rule, ask
):
    of_subnet = [
        rule("shape.s", "shape", 35.0, above=20.5, kind=Kind.SUBNET),
        rule("graph.s", "graph", 35.0, above=20.5, kind=Kind.SUBNET),
    ]
    watched = engine(*of_subnet)
    for i in range(10):
        ask(watched, f"203.0.113.{i}", count=3, every_s=0.1)
    told = watched.explain("203.0.113.4")
    text = " ".join(told.sentences)
    assert 0.0 == told.score
    assert 0.0 == told.honest_share
    assert "nothing" not in text
    assert "No rule holds anything against it alone." in told.sentences
    assert "judged with its network 203.0.113.0/24" in text
    assert "requests_1h 20" in text or "requests_1h 21" in text
    assert {"shape.s", "graph.s"} == {e.rule for e in told.evidence}
