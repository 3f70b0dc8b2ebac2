"""Whether our tables are, as the kernel tells of them, what we would make. Pure.

The kernel adds attributes of its own (handles, use counts) and leaves out the mark of nesting, so
it is asked whether all that we said is there, and no chain and no rule besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from excise.enforce.nft_wire import NLA_NESTED, Message, Msg, parse, walk, walk_kinds

#: (family, attributes) of one object
Told = tuple[int, Mapping[int, bytes]]
NAME = {Msg.NEWTABLE: 1, Msg.NEWCHAIN: 3, Msg.NEWSET: 2}
TABLE_FLAGS, PERSIST = 2, 0x4  # NFTA_TABLE_FLAGS, NFT_TABLE_F_PERSIST
RULE_CHAIN, RULE_EXPRESSIONS = 2, 4  # NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS
SET_FLAGS = 3  # NFTA_SET_FLAGS, not told where there are none
#: NFTA_SET_FLAGS, _KEY_TYPE, _KEY_LEN, _USERDATA
SET_SAME = (SET_FLAGS, 4, 5, 13)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What our tables are made of, as messages of ours say or as the kernel tells."""

    tables: Sequence[Told]
    chains: Sequence[Told]
    sets: Sequence[Told]
    rules: Sequence[Told]


def ruleset_of(messages: Iterable[Message]) -> Ruleset:
    """Sort what messages make."""
    made: dict[int, list[Told]] = {
        kind: [] for kind in (Msg.NEWTABLE, Msg.NEWCHAIN, Msg.NEWSET, Msg.NEWRULE)
    }
    for message in messages:
        if message.type in made:
            fields = dict(walk_kinds(message.payload))
            made[message.type].append((message.family, fields))
    return Ruleset(made[Msg.NEWTABLE], made[Msg.NEWCHAIN], made[Msg.NEWSET], made[Msg.NEWRULE])


def tables_intact(wanted: Ruleset, told: Ruleset) -> bool:
    """Whether our tables are there, with the flags and the words that we give them."""
    return _all_there(wanted.tables, told.tables, Msg.NEWTABLE)


def tables_orphaned(told: Ruleset) -> bool:
    """Whether all our tables outlived their owner, and can be claimed."""
    flags = [int.from_bytes(fields.get(TABLE_FLAGS, b""), "big") for _family, fields in told.tables]
    return flags == [PERSIST, PERSIST]


def sets_intact(wanted: Ruleset, told: Ruleset) -> bool:
    """Whether the sets are as wanted, so that what they hold can stay."""
    named = {(family, fields.get(NAME[Msg.NEWSET])): fields for family, fields in told.sets}
    return all(
        _same_set(fields, named.get((family, fields[NAME[Msg.NEWSET]]), {}))
        for family, fields in wanted.sets
    )


def rules_intact(wanted: Ruleset, told: Ruleset) -> bool:
    """Whether chains and rules are as wanted, in order, and there is no other."""
    if len(wanted.chains) != len(told.chains):
        return False
    if not _all_there(wanted.chains, told.chains, Msg.NEWCHAIN):
        return False
    ours, theirs = _by_chain(wanted.rules), _by_chain(told.rules)
    return ours.keys() == theirs.keys() and all(
        len(ours[chain]) == len(theirs[chain])
        and all(map(_same_expressions, ours[chain], theirs[chain]))
        for chain in ours
    )


def says(made: bytes, told: bytes) -> bool:
    """Whether attributes as told have all that were made, with the same values."""
    there = parse(told)
    for kind, body in walk_kinds(made):
        other = there.get(kind & ~NLA_NESTED)
        if other is None:
            return False
        if not (says(body, other) if kind & NLA_NESTED else body == other):
            return False
    return True


def _all_there(wanted: Sequence[Told], told: Sequence[Told], kind: Msg) -> bool:
    named = {(family, fields.get(NAME[kind])): fields for family, fields in told}
    return all(
        _says_fields(fields, named.get((family, fields[NAME[kind]]), {}))
        for family, fields in wanted
    )


def _says_fields(made: Mapping[int, bytes], told: Mapping[int, bytes]) -> bool:
    for kind, body in made.items():
        other = told.get(kind & ~NLA_NESTED)
        if other is None or not (says(body, other) if kind & NLA_NESTED else body == other):
            return False
    return True


def _same_set(made: Mapping[int, bytes], told: Mapping[int, bytes]) -> bool:
    complete = {SET_FLAGS: bytes(4), **told}
    same = all(made.get(kind) == complete.get(kind) for kind in SET_SAME)
    return same and _expression_names(made) == _expression_names(told)


def _expression_names(fields: Mapping[int, bytes]) -> list[bytes | None]:
    plain = {kind & ~NLA_NESTED: body for kind, body in fields.items()}
    one, many = plain.get(17), plain.get(18)  # NFTA_SET_EXPR, NFTA_SET_EXPRESSIONS
    bodies = [one] if one else [body for _kind, body in walk(many or b"")]
    return [parse(body).get(1) for body in bodies]


def _by_chain(rules: Iterable[Told]) -> dict[tuple[int, bytes], list[bytes]]:
    chains: dict[tuple[int, bytes], list[bytes]] = {}
    for family, fields in rules:
        plain = {kind & ~NLA_NESTED: body for kind, body in fields.items()}
        where = family, plain.get(RULE_CHAIN, b"")
        chains.setdefault(where, []).append(plain.get(RULE_EXPRESSIONS, b""))
    return chains


def _same_expressions(made: bytes, told: bytes) -> bool:
    ours, theirs = walk_kinds(made), walk(told)
    return len(ours) == len(theirs) and all(
        # a counter counts: its numbers are nobody's wish
        parse(a).get(1) == parse(b).get(1) and (_is_counter(a) or says(a, b))
        for (_ka, a), (_kb, b) in zip(ours, theirs, strict=True)
    )


def _is_counter(expression: bytes) -> bool:
    return parse(expression).get(1) == b"counter\0"
