"""Who is enforced neither says what is usual nor is forgotten before others."""

from excise.model.decision import Action
from excise.model.entity import Kind
from excise.model.step import Place

CLIENT = "203.0.113.7/32"


def names(watched, kind, rows):
    """Name the rows of a kind."""
    return [watched.world.name(kind, row) for row in rows.tolist()]


def place(watched, target, action):
    """Have the operator decide on a target."""
    watched.step([Place(target, action, None, 600.0, "seen to harvest")])


def test_clients_and_accounts_under_decision_are_suspects_and_so_are_uses_of_these(engine, ask):
    watched = engine()
    ask(watched, count=2, account="a", user_agent="x")
    ask(watched, count=2, client="198.51.100.9", account="b", user_agent="y")
    place(watched, CLIENT, Action.DROP)
    place(watched, "b", Action.DENY)
    suspects = watched.judge.roll.suspects()
    assert [CLIENT] == names(watched, Kind.CLIENT, suspects[Kind.CLIENT])
    assert ["b"] == names(watched, Kind.ACCOUNT, suspects[Kind.ACCOUNT])
    b = watched.world.accounts.rows["b"]
    assert watched.world.uses_of(b) == suspects[Kind.USE].tolist() != []


def test_who_is_only_observed_is_no_suspect(engine, rule, ask):
    watched = engine(rule("volume.x", "volume", 25))
    ask(watched, count=9)
    assert ["observe"] == [d.action.value for d in watched.decisions()]
    assert [] == watched.judge.roll.suspects()[Kind.CLIENT].tolist()
    assert [CLIENT] == names(watched, Kind.CLIENT, watched.judge.roll.held(Kind.CLIENT))
