"""The rules as values; what the kernel makes of them is said in tests/netns."""

import itertools

import pytest

from excise.decide.plan import Measure
from excise.enforce import nft_layout as layout
from excise.enforce.nft_rules import ABOUT, FEW_PORTS, HOOKED, Shape, chains, rules
from excise.enforce.nft_wire import Msg, parse, walk

SHAPES = [
    Shape(guard, frozenset(nat), shaping, layout.OURS, sieved=frozenset({4, 6}))
    for guard, nat, shaping in itertools.product((False, True), ((), (4,), (4, 6)), (False, True))
]
GUARD_CALLED = ("shut", "shut_reply")
#: some of the sets at a time: none, each alone, each pair
SOME = [frozenset(n) for size in (0, 1, 2) for n in itertools.combinations(layout.OURS, size)]


def named(shape):
    """Return a test's name that every process gives it: sets print in no fixed order."""
    return f"guard={shape.guard} nat={sorted(shape.nat)} shaping={shape.shaping}"


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


@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_every_set_is_asked_by_some_rule_and_no_other_is(shape):
    for version in (4, 6):
        assert asked(version, shape) == {spec.name for spec in layout.sets_of(version, shape)}


def steps(rule):
    """Return a rule's steps in short: what is loaded, which sets are asked, where it ends."""
    found = []
    for name, fields in told(rule.expressions):
        if name == "lookup":
            asks_not = fields.get(5) == b"\0\0\0\1"
            found.append(("not in " if asks_not else "in ") + fields[1].rstrip(b"\0").decode())
        elif name == "payload":
            found.append((fields[2], fields[3], fields[4]))
        elif name in ("immediate", "reject"):
            code, *target = parse(parse(fields[2])[2]).values() if name == "immediate" else ["no"]
            found.append(target[0].rstrip(b"\0").decode() if target else code)
    return found


DROPS, ACCEPTS = b"\0\0\0\0", b"\0\0\0\1"


@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_loopback_passes_before_anything_is_looked_at(shape):
    for version in (4, 6):
        first = next(rule for rule in rules(version, shape) if rule.chain == "pre")
        assert ["meta", "cmp", "immediate"] == [name for name, _ in told(first.expressions)]
        assert [b"\0\0\0\1"] == steps(first)


@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_whoever_is_held_loses_nothing_where_he_is_allowed(shape):
    """Each rule asks for the very address that it found, whole, and asks last."""
    held = {spec.name for shelves in layout.SETS.values() for spec in shelves.of(6)}
    for version in (4, 6):
        taking = [r for r in rules(version, shape) if {f"in {n}" for n in held} & {*steps(r)}]
        assert 6 * len(layout.SETS[Measure.DROP].of(version)) == len(taking)
        for rule in taking:
            address, _held, again, allowed, end = steps(rule)[-5:]
            assert (address, "not in allow") == (again, allowed)
            assert end in (DROPS, "refuse")


@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_nothing_else_takes_anything_away_but_the_guard_which_asks_first(shape):
    for version in (4, 6):
        by_chain = {}
        for rule in rules(version, shape):
            by_chain.setdefault(rule.chain, []).append(steps(rule))
        leads_to_refuse = [s for chain in by_chain.values() for s in chain if s[-1] == "refuse"]
        assert all("not in allow" in s for s in leads_to_refuse)
        for chain, found in by_chain.items():
            ends = [s for s in found if s[-1] in (DROPS, "no") and "not in allow" not in s]
            assert not ends or chain in ("refuse", *GUARD_CALLED)
        for chain in GUARD_CALLED if shape.guard else ():
            passing = ["in allow" in s and s[-1] == b"\0\0\0\1" for s in by_chain[chain]]
            taking = [s[-1] in (DROPS, "no") for s in by_chain[chain]]
            assert passing.index(True) < taking.index(True)


def test_only_sets_that_hold_something_are_asked():
    for held, guard in itertools.product(SOME, (False, True)):
        shape = Shape(guard, asked=held)
        found = {(v, name) for v in (4, 6) for name in asked(v, shape)}
        assert held == found & layout.OURS


@pytest.mark.parametrize("sieved", [(), (4,), (6,), (4, 6)])
def test_every_set_of_networks_is_asked_past_the_sieve_and_no_other_set_is(sieved):
    whole = {4: (b"\xff\xff" + bytes(2)), 6: (b"\xff" * 4 + bytes(12))}
    for version in (4, 6):
        laid = rules(version, Shape(asked=layout.OURS, sieved=frozenset(sieved)))
        for rule in laid:
            found = steps(rule)
            assert (rule.asks.endswith("_net") and version in sieved) == ("in near" in found)
            if "in near" in found:
                assert [found[2], "in near", found[2], f"in {rule.asks}"] == found[:4]
                cut = dict(told(rule.expressions[:2]))["bitwise"]
                assert whole[version] == parse(cut[4])[1]


def test_every_chain_is_reached_and_does_something():
    for held, nat, guard in itertools.product(SOME, ((), (4, 6)), (False, True)):
        shape = Shape(guard, frozenset(nat), asked=held)
        for version in (4, 6):
            laid = rules(version, shape)
            there = set(chains(laid))
            ends = [(rule.chain, steps(rule)[-1]) for rule in laid]
            assert {name for _, name in ends if name in ABOUT} == there - HOOKED.keys()
            assert there == {chain for chain, end in ends if end != ACCEPTS}


@pytest.mark.parametrize("nat", [(), (4, 6)])
def test_while_nothing_is_held_nothing_is_hooked_in(nat):
    assert [[], []] == [rules(version, Shape(nat=frozenset(nat))) for version in (4, 6)]


@pytest.mark.parametrize(
    ("ports", "expected"), [((), 1), ((443,), 1), ((443, 8443), 2), ((443, 8443, 9443), 1)]
)
def test_few_ports_are_compared_with_and_many_are_looked_up(ports, expected):
    shape = Shape(asked=frozenset({(4, "block")}), ports=ports)
    hooked = [rule for rule in rules(4, shape) if rule.chain == "out"]
    assert 2 * expected == len(hooked)  # TCP and UDP
    looks = 0 < len(ports) <= FEW_PORTS
    assert {not looks} == {"in ports" in steps(rule) for rule in hooked}
    compared = [dict(told(rule.expressions[-2:]))["cmp"] for rule in hooked] if looks else []
    found = [int.from_bytes(parse(fields[3])[1], "big") for fields in compared]
    assert (list(ports) * 2 if looks else []) == found


def test_conntrack_is_asked_only_for_a_version_with_nat():
    def versions(shape):
        return [
            version
            for version in (4, 6)
            if any("ct" in dict(told(rule.expressions)) for rule in rules(version, shape))
        ]

    found = [versions(Shape(nat=frozenset(nat), asked=layout.OURS)) for nat in ((), (4,), (4, 6))]
    assert [[], [4], [4, 6]] == found


def test_the_guards_chains_are_there_only_with_a_guard():
    for guard in (False, True):
        there = chains(rules(4, Shape(guard, asked=layout.OURS)))
        assert [n for n in ABOUT if guard or n not in GUARD_CALLED] == there
    assert ["pre", "out", *GUARD_CALLED] == chains(rules(4, Shape(guard=True)))


@pytest.mark.parametrize("old", SHAPES, ids=named)
@pytest.mark.parametrize("new", SHAPES, ids=named)
def test_another_shape_makes_what_is_missing_and_removes_what_is_too_much(old, new):
    was = {(version, spec.name) for version in (4, 6) for spec in layout.sets_of(version, old)}
    becomes = {(version, spec.name) for version in (4, 6) for spec in layout.sets_of(version, new)}
    there = {(version, name) for version in (4, 6) for name in chains(rules(version, old))}
    messages = list(layout.relay(there, was, new))

    def changed(kind, field):
        return {
            (layout.VERSIONS[m.family], parse(m.payload)[field].rstrip(b"\0").decode())
            for m in messages
            if m.type == kind
        }

    assert becomes - was == changed(Msg.NEWSET, 2)
    assert was - becomes == changed(Msg.DELSET, 2)
    assert there == changed(Msg.DELCHAIN, 3)
    wanted = {(version, name) for version in (4, 6) for name in chains(rules(version, new))}
    assert wanted == changed(Msg.NEWCHAIN, 3)
