"""The tables as messages, without a kernel."""

from excise.enforce import nft_layout as layout
from excise.enforce.nft_rules import Shape
from excise.enforce.nft_wire import Msg, parse

OURS = {(version, spec.name) for version in (4, 6) for spec in layout.sets_of(version)}

HELD = Shape(asked=layout.OURS)


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
    for message in layout.build((), 0, layout.EVERYTHING):
        if message.type == Msg.NEWCHAIN:
            known.add((message.family, named(message, 3)))
        if message.type == Msg.NEWRULE:
            assert (message.family, named(message, 2)) in known


def test_no_object_is_named_by_a_word_of_nft():
    words = {"drop", "accept", "in", "fwd", "limit", "set", "map", "counter", "input", "output"}
    names = {spec.name for spec in layout.sets_of(6, layout.EVERYTHING)}
    names |= {named(m, 3) for m in layout.build((), 0, layout.EVERYTHING) if m.type == Msg.NEWCHAIN}
    assert set() == names & words


def test_rules_put_anew_remove_all_that_is_there_before_they_make_theirs():
    messages = list(layout.relay({(4, "pre"), (4, "theirs"), (6, "pre")}, OURS, HELD))
    first_made = next(n for n, m in enumerate(messages) if m.type == Msg.NEWCHAIN)

    v4, v6 = ([m for m in messages[:first_made] if m.family == family] for family in (2, 10))
    assert [Msg.DELRULE, Msg.DELCHAIN, Msg.DELCHAIN] == [m.type for m in v4]
    assert ["pre", "theirs"] == [named(m, 3) for m in v4[1:]]
    assert v6 == []  # the other table's come before its own
    assert [Msg.DELRULE, Msg.DELCHAIN] == [
        m.type for m in messages[first_made:] if m.type not in {Msg.NEWCHAIN, Msg.NEWRULE}
    ]


def test_rules_put_anew_bring_the_sets_that_are_missing_and_remove_those_of_other_shapes():
    there = {*OURS, (4, "guarded"), (4, "theirs")} - {(6, "egr_64")}
    messages = list(layout.relay((), there))

    assert [(2, "guarded")] == [(m.family, named(m, 2)) for m in messages if m.type == Msg.DELSET]
    assert [(10, "egr_64")] == [(m.family, named(m, 2)) for m in messages if m.type == Msg.NEWSET]


def test_only_the_v6_table_has_sets_of_slash64s():
    assert [] == [s.name for s in layout.sets_of(4) if s.masked]
    assert ["block_64", "egr_64", "igr_64", "newc_64"] == [
        s.name for s in layout.sets_of(6) if s.masked
    ]
