"""Our tables as made, held against what the kernel tells."""

from dataclasses import replace

import pytest

from excise.enforce import nft_layout as layout
from excise.enforce.nft_check import (
    Ruleset,
    rules_intact,
    ruleset_of,
    says,
    sets_intact,
    tables_intact,
    tables_orphaned,
)
from excise.enforce.nft_rules import Shape
from excise.enforce.nft_wire import NLA_NESTED, attr, be32, be64, nest, text, walk_kinds

WANTED = ruleset_of(layout.build((), 0, Shape(asked=layout.OURS)))
EXPRESSIONS = 4 | NLA_NESTED


def plain(payload):
    """Return attributes as the kernel tells them: without the mark of nesting, and some more."""
    told = b""
    for kind, body in walk_kinds(payload):
        nested = kind & NLA_NESTED
        told += attr(kind & ~NLA_NESTED, plain(body) if nested else body)
    return told


def told(objects):
    out = []
    for family, fields in objects:
        packed = b"".join(attr(kind, body) for kind, body in fields.items())
        out.append((family, dict(walk_kinds(plain(packed) + be64(99, 7)))))
    return out


TOLD = Ruleset(told(WANTED.tables), told(WANTED.chains), told(WANTED.sets), told(WANTED.rules))


def with_field(objects, at, kind, body):
    family, held = objects[at]
    return [*objects[:at], (family, {**held, kind: body}), *objects[at + 1 :]]


def test_what_the_kernel_adds_is_no_difference():
    assert tables_intact(WANTED, TOLD)
    assert sets_intact(WANTED, TOLD)
    assert rules_intact(WANTED, TOLD)


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(TOLD.rules[1:], id="one is gone"),
        pytest.param([TOLD.rules[0], *TOLD.rules], id="one more"),
        pytest.param([TOLD.rules[1], TOLD.rules[0], *TOLD.rules[2:]], id="in another order"),
        pytest.param(with_field(TOLD.rules, 3, 4, TOLD.rules[0][1][4]), id="one replaced"),
        pytest.param(
            with_field(TOLD.rules, 3, 4, TOLD.rules[3][1][4] + nest(1, text(1, "notrack"))),
            id="one lengthened",
        ),
    ],
)
def test_other_rules_are_a_difference(rules):
    assert not rules_intact(WANTED, replace(TOLD, rules=rules))


@pytest.mark.parametrize(
    "chains",
    [
        pytest.param(TOLD.chains[1:], id="one is gone"),
        pytest.param([*TOLD.chains, (2, {3: b"theirs\0"})], id="one more"),
        pytest.param(with_field(TOLD.chains, 0, 5, bytes(4)), id="another policy"),
        pytest.param(with_field(TOLD.chains, 0, 4, be32(1, 0) + be32(2, 0)), id="another priority"),
    ],
)
def test_other_chains_are_a_difference(chains):
    assert not rules_intact(WANTED, replace(TOLD, chains=chains))


def test_a_counter_in_a_rule_may_have_counted():
    def counting(number):
        body = nest(1, text(1, "counter"), nest(2, be64(1, number), be64(2, number)))
        return [(2, {2: b"pre\0", EXPRESSIONS: body})]

    ours, theirs = Ruleset([], [], [], counting(0)), Ruleset([], [], [], told(counting(9)))
    assert rules_intact(ours, theirs)


@pytest.mark.parametrize(
    "sets",
    [
        pytest.param(TOLD.sets[1:], id="one is gone"),
        pytest.param(with_field(TOLD.sets, 2, 3, be32(0, 4)[4:]), id="other flags"),
        pytest.param(with_field(TOLD.sets, 2, 5, bytes(4)), id="another key"),
        pytest.param(with_field(TOLD.sets, 5, 18, b""), id="elements without expressions"),
    ],
)
def test_other_sets_are_a_difference(sets):
    assert not sets_intact(WANTED, replace(TOLD, sets=sets))


def test_sets_of_others_in_our_tables_are_none():
    assert sets_intact(WANTED, replace(TOLD, sets=[*TOLD.sets, (2, {2: b"theirs\0"})]))


def test_a_dormant_table_is_a_difference():
    dormant = with_field(TOLD.tables, 0, 2, be32(0, 1)[4:])
    assert not tables_intact(WANTED, replace(TOLD, tables=dormant))


def test_tables_that_outlived_their_owner_can_be_claimed():
    outlived = [(family, {2: be32(0, layout.PERSIST)[4:]}) for family in (2, 10)]
    assert tables_orphaned(Ruleset(outlived, [], [], []))
    assert not tables_orphaned(TOLD)


def test_attributes_say_what_was_made_if_all_of_it_is_there():
    made = text(1, "a") + nest(2, be32(1, 5), be32(2, 6))
    assert says(made, text(1, "a") + attr(2, be32(1, 5) + be32(2, 6) + be32(3, 7)) + be32(9, 1))
    assert not says(made, text(1, "a") + attr(2, be32(1, 5) + be32(2, 7)))
    assert not says(made, text(1, "a"))
