"""The tables as messages, without a kernel."""

from excise.enforce import nft_layout as layout
from excise.enforce.nft_wire import Msg, parse


def named(message, kind=1):
    return parse(message.payload)[kind].rstrip(b"\0").decode()


def test_both_tables_are_made_in_one_go_and_marked_as_ours():
    tables = [m for m in layout.build((), 0) if m.type == Msg.NEWTABLE]
    assert [2, 10] == [m.family for m in tables]
    assert all(b"managed by excise" in parse(m.payload)[6] for m in tables)


def test_what_exists_is_removed_in_the_same_transaction():
    first, second, *_rest = layout.build([4, 6], 0)
    assert [(Msg.DELTABLE, 2), (Msg.DELTABLE, 10)] == [
        (first.type, first.family),
        (second.type, second.family),
    ]


def test_every_rule_refers_to_chains_and_sets_that_are_made_before_it():
    known = set()
    for message in layout.build((), 0):
        if message.type == Msg.NEWCHAIN:
            known.add((message.family, named(message, 3)))
        if message.type == Msg.NEWRULE:
            assert (message.family, named(message, 2)) in known


def test_no_object_is_named_by_a_word_of_nft():
    words = {"drop", "accept", "in", "fwd", "limit", "set", "map", "counter", "input", "output"}
    names = {spec.name for spec in layout.ALL_SETS}
    names |= {named(m, 3) for m in layout.build((), 0) if m.type == Msg.NEWCHAIN}
    assert set() == names & words
