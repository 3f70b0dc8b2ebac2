"""What the kernel counted: by our rules in total, by a set's element for each target. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from excise.decide.plan import Element, Measure
from excise.enforce.base import Traffic
from excise.enforce.nft_content import key_of
from excise.enforce.nft_elem import element, elements_message
from excise.enforce.nft_layout import FAMILIES, SETS, TABLE, spec_of
from excise.enforce.nft_wire import Message, Msg, Reply, nest, parse, text, walk

#: the set that a rule looks into → what the rule does
MEASURES = {spec.name: m for m, shelves in SETS.items() for spec in shelves.of(6)}
#: keys in one request: their answers must fit into a receive buffer that was not enlarged
KEYS = 64
COUNTER = b"counter\0"
LOOKUP = b"lookup\0"
REFUSE = b"refuse\0"


def is_counted(e: Element) -> bool:
    """Whether an element has a counter of its own; single dropped addresses have none."""
    return spec_of(e.measure, e.span).counted


def groups(elements: Iterable[Element]) -> Iterator[list[Element]]:
    """Yield elements of the same set, no more than one request may ask for."""
    by_set: dict[tuple[int, str], list[Element]] = {}
    for e in elements:
        by_set.setdefault((e.span.version, spec_of(e.measure, e.span).name), []).append(e)
    for group in by_set.values():
        yield from (group[at : at + KEYS] for at in range(0, len(group), KEYS))


def query(group: Sequence[Element]) -> Message:
    """Return one request for elements of the same set, which the kernel answers in order."""
    first = group[0]
    keys = [element(key_of(e.span.version, e.span.start)) for e in group]
    name, family = spec_of(first.measure, first.span).name, FAMILIES[first.span.version]
    return elements_message(Msg.GETSETELEM, family, TABLE, name, keys)


def count_of(e: Element, answer: Reply) -> Traffic | None:
    """Return what the answer about an element counts; None if it is about another."""
    listed = walk(parse(answer.payload).get(3, b""))
    fields = parse(listed[0][1]) if listed else {}
    key = parse(fields.get(1, b"")).get(1, b"")
    if key != key_of(e.span.version, e.span.start):
        return None
    own = nest(1, fields[7]) if 7 in fields else fields.get(11, b"")
    return next((_traffic(data) for name, data in _expressions(own) if name == COUNTER), None)


def rules_query(version: int) -> Message:
    """Return the dump request for the rules of one of our tables."""
    return Message(Msg.GETRULE, FAMILIES[version], text(1, TABLE))


def counted_by(replies: Iterable[Reply]) -> dict[Measure, Traffic]:
    """Return what our rules took away, by measure."""
    found: dict[Measure, Traffic] = {}
    for reply in replies:
        fields = parse(reply.payload)
        # what is refused was found in a chain before, which went there
        measure, traffic = (Measure.DROP if fields.get(2) == REFUSE else None), None
        for name, data in _expressions(fields.get(4, b"")):
            if name == LOOKUP:
                set_name = parse(data).get(1, b"").rstrip(b"\0").decode(errors="replace")
                measure = MEASURES.get(set_name, measure)
            elif name == COUNTER:
                traffic = _traffic(data)
        if measure and traffic:
            found[measure] = found.get(measure, Traffic(0, 0)) + traffic
    return found


def _expressions(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name with its NUL, attributes) of each expression of a rule."""
    for _kind, entry in walk(packed):
        fields = parse(entry)
        yield fields.get(1, b""), fields.get(2, b"")


def _traffic(data: bytes) -> Traffic:
    """Read NFTA_COUNTER_BYTES and NFTA_COUNTER_PACKETS."""
    fields = parse(data)
    return Traffic(
        packets=int.from_bytes(fields.get(2, b""), "big"),
        bytes=int.from_bytes(fields.get(1, b""), "big"),
    )
