"""The rules as values; what the kernel makes of them is said in tests/netns."""

import itertools

import pytest

from excise.enforce import nft_layout as layout
from excise.enforce.nft_rules import CALLED, GUARD_CALLED, HOOKED, Shape, called, rules
from excise.enforce.nft_wire import Msg, parse, walk

SHAPES = [
    Shape(guard, frozenset(nat), shaping)
    for guard, nat, shaping in itertools.product((False, True), ((), (4,), (4, 6)), (False, True))
]


def told(expressions):
    """Return [(name, attributes)] of packed expressions."""
    found = []
    for packed in expressions:
        ((_kind, body),) = walk(packed)
        fields = parse(body)
        found.append((fields[1].rstrip(b"\0").decode(), parse(fields.get(2, b""))))
    return found


def asked(version, shape):
    """Return the sets that the rules of a shape look into."""
    return {
        fields[1].rstrip(b"\0").decode()
        for rule in rules(version, shape)
        for name, fields in told(rule.expressions)
        if name == "lookup"
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_set_is_asked_by_some_rule_and_no_other_is(shape):
    for version in (4, 6):
        assert asked(version, shape) == {spec.name for spec in layout.sets_of(version, shape)}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_loopback_and_the_allowed_pass_before_anything_is_looked_at(shape):
    for version in (4, 6):
        first = {}
        for rule in rules(version, shape):
            first.setdefault(rule.chain, []).append(told(rule.expressions))
        assert ["meta", "cmp", "immediate"] == [name for name, _ in first["pre"][0]]
        for chain, at in (("pre", 1), ("forwarded", 0), ("out", 0), ("post", 0)):
            looked = dict(first[chain][at])["lookup"]
            assert b"allow\0" == looked[1]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_chain_has_rules_and_every_rule_a_chain(shape):
    known = {*HOOKED, *called(shape)}
    assert known == {rule.chain for version in (4, 6) for rule in rules(version, shape)}


def test_conntrack_is_asked_only_for_a_version_with_nat():
    def versions(shape):
        return [
            version
            for version in (4, 6)
            if any("ct" in dict(told(rule.expressions)) for rule in rules(version, shape))
        ]

    assert [[], [4], [4, 6]] == [versions(Shape(nat=frozenset(nat))) for nat in ((), (4,), (4, 6))]


def test_the_guards_chains_are_there_only_with_a_guard():
    assert CALLED == called(Shape())
    assert (*CALLED, *GUARD_CALLED) == called(Shape(guard=True))


@pytest.mark.parametrize("old", SHAPES, ids=str)
@pytest.mark.parametrize("new", SHAPES, ids=str)
def test_another_shape_makes_what_is_missing_and_removes_what_is_too_much(old, new):
    was = {(version, spec.name) for version in (4, 6) for spec in layout.sets_of(version, old)}
    becomes = {(version, spec.name) for version in (4, 6) for spec in layout.sets_of(version, new)}
    chains = {(version, name) for version in (4, 6) for name in (*HOOKED, *called(old))}
    messages = list(layout.relay(chains, was, new))

    def changed(kind, field):
        return {
            (layout.VERSIONS[m.family], parse(m.payload)[field].rstrip(b"\0").decode())
            for m in messages
            if m.type == kind
        }

    assert becomes - was == changed(Msg.NEWSET, 2)
    assert was - becomes == changed(Msg.DELSET, 2)
    assert chains == changed(Msg.DELCHAIN, 3)
    wanted = {(version, name) for version in (4, 6) for name in (*HOOKED, *called(new))}
    assert wanted == changed(Msg.NEWCHAIN, 3)
