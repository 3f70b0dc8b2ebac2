"""Set elements as bytes, both ways (nft_set_elem_attributes). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from excise.enforce.nft_wire import (
    NLA,
    NLA_NESTED,
    NLA_TYPE,
    Message,
    Msg,
    Nlm,
    Reply,
    attr,
    be32,
    be64,
    nest,
    parse,
    text,
    walk,
)

#: an attribute's length is 16 bits; element lists are cut well before
LIST_BYTES = 60_000
#: where an entry has its key: after its own header, the key's, and the value's
KEY_AT = 12


@dataclass(frozen=True, slots=True)
class RawElement:
    """One element as dumped: key bytes, milliseconds left (None: for good), its expressions."""

    key: bytes
    is_end: bool
    expires_ms: int | None
    expressions: tuple[tuple[str, dict[int, bytes]], ...]


def element(
    key: bytes, timeout_ms: int | None = None, expressions: bytes = b"", data: bytes = b""
) -> bytes:
    """Return one list entry; `data` is what a map holds for the key.

    Timeout and expiration are both sent: only then is it renewed.
    """
    body = NLA.pack(len(key) + 8, 1 | NLA_NESTED) + NLA.pack(len(key) + 4, 1) + key
    body += bytes(-len(key) % 4)
    if data:
        body += nest(2, attr(1, data))
    if timeout_ms is not None:
        body += be64(4, timeout_ms) + be64(5, timeout_ms)
    body += expressions
    return NLA.pack(len(body) + 4, 1 | NLA_NESTED) + body


def end_element(key: bytes) -> bytes:
    """Return the entry that closes an interval at `key`, exclusive (INTERVAL_END)."""
    return nest(1, nest(1, attr(1, key)), be32(3, 1))


def element_expressions(*packed: bytes) -> bytes:
    """Return what makes an element carry its own expressions: one, or several."""
    if len(packed) == 1:
        return attr(7 | NLA_NESTED, packed[0][4:])
    return nest(11, *packed)


def elements_message(
    kind: Msg, family: int, table: str, set_name: str, entries: Sequence[bytes]
) -> Message:
    """Return one message about entries; no entries means all of the set."""
    body = text(1, table) + text(2, set_name)
    if entries:
        body += nest(3, *entries)
    return Message(kind, family, body, Nlm.CREATE if kind is Msg.NEWSETELEM else 0)


def elements_messages(
    kind: Msg, family: int, table: str, set_name: str, entries: Iterable[bytes]
) -> Iterator[Message]:
    """Yield messages about entries, none longer than an attribute may be."""
    chunk: list[bytes] = []
    size = 0
    for entry in entries:
        if chunk and size + len(entry) > LIST_BYTES:
            yield elements_message(kind, family, table, set_name, chunk)
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry)
    if chunk:
        yield elements_message(kind, family, table, set_name, chunk)


def raw_elements(reply: Reply) -> Iterator[RawElement]:
    """Yield the elements of one NEWSETELEM answer."""
    for _kind, entry in walk(parse(reply.payload).get(3, b"")):
        fields = parse(entry)
        left = fields.get(5)
        flags = int.from_bytes(fields.get(3, b""), "big")
        listed = walk(fields.get(11, b""))
        if 7 in fields:
            listed.append((1, fields[7]))
        yield RawElement(
            key=parse(fields.get(1, b"")).get(1, b""),
            is_end=bool(flags & 1),
            expires_ms=None if left is None else int.from_bytes(left, "big"),
            expressions=tuple(_named(body) for _kind, body in listed),
        )


def keys_of(packed: bytes) -> Iterator[tuple[int, bool]]:
    """Yield the key of each entry of a list, and whether it closes an interval.

    As `raw_elements`, but several times as quick: entries begin with the key, whether the kernel
    wrote them or we, and flags follow only where an interval is closed. What has no key stands
    for all there are (NFT_SET_ELEM_CATCHALL), and is told as one that begins at the first.
    """
    at, unpack = 0, NLA.unpack_from
    while at + KEY_AT <= len(packed):
        length, _ = unpack(packed, at)
        if not KEY_AT <= length <= len(packed) - at:
            return  # torn
        if unpack(packed, at + 4)[1] & NLA_TYPE != 1:
            yield 0, False
        else:
            after = at + 8 + unpack(packed, at + 8)[0]
            is_end = after < at + length and unpack(packed, after)[1] == 3
            yield int.from_bytes(packed[at + KEY_AT : after], "big"), is_end
        at += (length + 3) & ~3


def _named(body: bytes) -> tuple[str, dict[int, bytes]]:
    fields = parse(body)
    return fields.get(1, b"").rstrip(b"\0").decode(errors="replace"), parse(fields.get(2, b""))


def plain_columns(reply: Reply, key_bytes: int) -> tuple[bytes, list[int]] | None:
    """Return the keys, back to back, and the milliseconds left of an answer's elements.

    Only where all of them are alike: a key, a timeout and what is left of it, nothing else; as the
    elements of a large set are. None means: look at each. Half a million a second and more,
    instead of a tenth of that.
    """
    entries = np.frombuffer(parse(reply.payload).get(3, b""), np.uint8)
    pattern = element(bytes(key_bytes), 0)
    if not len(entries) or len(entries) % len(pattern):
        return None
    rows = entries.reshape(-1, len(pattern))
    values = np.zeros(len(pattern), bool)
    key_at, timeout_at = 12, 12 + key_bytes + 4
    values[key_at : key_at + key_bytes] = True
    values[timeout_at : timeout_at + 8] = values[timeout_at + 12 : timeout_at + 20] = True
    if (rows[:, ~values] != np.frombuffer(pattern, np.uint8)[~values]).any():
        return None
    left = np.ascontiguousarray(rows[:, timeout_at + 12 : timeout_at + 20])
    return rows[:, key_at : key_at + key_bytes].tobytes(), left.view(">u8").ravel().tolist()
