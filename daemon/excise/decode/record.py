"""Format `record`: the record itself, one JSON object per line (contract 1).

Lines that are exactly what the record's types say are decoded by msgspec straight into
`Record`, a batch at a time; anything out of the ordinary sends its line down a careful path
that gives the reason. Batches shrink around such lines and grow again after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter

import msgspec
from msgspec.structs import force_setattr

from excise.decode.address import Addresses
from excise.decode.base import MAX_LINE_BYTES, DecodeContext, LineRejectedError, blank, reject
from excise.decode.fields import FIELDS, build
from excise.decode.jsonline import parse_object
from excise.decode.request import without_query
from excise.model.record import SIMHASH_DIGITS, Decoded, Record, Reject

#: lines decoded at once: few enough for their bytes to stay in the second-level cache
BATCH = 128
#: lines of a chunk that are looked at for unknown fields
EXAMINED = 16

#: fields whose `"-"` the strict path sees as text; in other fields it goes no further
_TEXTS = tuple(f.name for f in msgspec.structs.fields(Record) if f.type is str)

_client = attrgetter("client")
_peer = attrgetter("peer")
_account = attrgetter("account")
_user_agent = attrgetter("user_agent")
_prompt = attrgetter("prompt")
_simhash = attrgetter("simhash")


@dataclass(slots=True)
class _Tally:
    """What became of a chunk so far; `plain` are the lines that were decoded strictly."""

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    plain: list[bytes] = field(default_factory=list)
    ignored: int = 0


class RecordDecoder:
    """Decodes format `record`. Trusted proxies play no part: the gateway has named the client."""

    name = "record"

    def __init__(self, context: DecodeContext) -> None:  # noqa: ARG002 - what every format gets
        self._addresses = Addresses()
        self._strict = msgspec.json.Decoder(Record).decode
        self._keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`.

        `unknown_fields` is exact for up to 16 lines, and for lines of the careful path;
        otherwise it is an estimate from 16 lines spread over the chunk.
        """
        tally = _Tally()
        at, size = 0, BATCH
        while at < len(lines):
            batch = lines[at : at + size]
            records = self._try_strict(batch)
            if records is None and len(batch) > 1:
                size = len(batch) // 8 or 1
                continue
            if records is not None:
                tally.records += records
                tally.plain += batch
                size = min(2 * size, BATCH)
            elif not blank(batch[0]):
                self._decode_carefully(batch[0], tally)
            at += len(batch)
        unknown = tally.ignored + self._count_unknown(tally.plain)
        return Decoded(tally.records, tally.rejects, unknown)

    def _try_strict(self, lines: Sequence[bytes]) -> list[Record] | None:
        """Return the records of lines that are all as they should be, else None.

        Records are frozen for everybody else; nobody has seen these yet.
        """
        blob = b"\n".join(lines)
        if _odd(blob, lines):
            return None
        try:
            records = list(map(self._strict, lines))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if _repeats_keys(blob, records) or not _all_hex(records):
            return None
        if b"?" in blob or b"#" in blob or b"://" in blob:
            _forget_queries(records)
        if b'"-"' in blob:
            for line, record in zip(lines, records, strict=True):
                if b'"-"' in line:
                    _forget_dashes(record)
        return records if self._settle_addresses(records) else None

    def _settle_addresses(self, records: list[Record]) -> bool:
        """Give addresses their canonical text; False if one is none."""
        clients = list(map(_client, records))
        canonical = self._addresses.canonical_all(clients)
        peers = list(map(_peer, records))
        if "" in canonical:
            return False
        if any(peers):
            for record, client, peer in zip(records, canonical, peers, strict=True):
                address = self._addresses.canonical(peer) if peer else ""
                if peer and not address:
                    return False
                if address == client:
                    address = ""
                if address != peer:
                    force_setattr(record, "peer", address)
        if canonical != clients:
            for record, client in zip(records, canonical, strict=True):
                force_setattr(record, "client", client)
        return True

    def _decode_carefully(self, line: bytes, tally: _Tally) -> None:
        """Decode one line into a record or a reject with its reason."""
        try:
            if len(line) > MAX_LINE_BYTES:
                raise LineRejectedError("too-long")  # noqa: TRY301 - one place builds rejects
            record, ignored = build(parse_object(line), self._addresses)
        except LineRejectedError as error:
            tally.rejects.append(reject(line, error.reason))
        else:
            tally.records.append(record)
            tally.ignored += ignored

    def _count_unknown(self, lines: list[bytes]) -> int:
        """Return how many fields of strictly decoded lines are none of the record's."""
        step = -(-len(lines) // EXAMINED) or 1
        examined = lines[::step]
        found = sum(len(self._keys(line).keys() - FIELDS.keys()) for line in examined)
        return found * len(lines) // (len(examined) or 1)


def _forget_dashes(record: Record) -> None:
    """Make text that is `"-"` not known."""
    for name in _TEXTS:
        if getattr(record, name) == "-":
            force_setattr(record, name, "")


def _forget_queries(records: list[Record]) -> None:
    """Cut paths where a query begins: it may hold keys."""
    for record in records:
        path = without_query(record.path)
        if path != record.path:
            force_setattr(record, "path", path)


def _odd(blob: bytes, lines: Sequence[bytes]) -> bool:
    """Whether bytes say what decoded values would no longer say.

    That is keys spelled with escapes, and broken UTF-8 in what is skipped.
    """
    return (
        (len(blob) > MAX_LINE_BYTES and max(map(len, lines)) > MAX_LINE_BYTES)
        or not blob.isascii()
        or (b"\\" in blob and b"\\u" in blob)
    )


def _repeats_keys(blob: bytes, records: list[Record]) -> bool:
    """Whether a line names its client or account twice: the last would win without a word.

    Three keys end in `nt"`, and few values do: as many as there are values of these keys prove
    that each is there once. One scan for that is cheaper than one for each key.
    """
    accounts = len(records) - list(map(_account, records)).count("")
    agents = len(records) - list(map(_user_agent, records)).count("")
    if blob.count(b'nt"') == len(records) + accounts + agents:
        return False
    return blob.count(b'"client"') != len(records) or blob.count(b'"account"') != accounts


def _all_hex(records: list[Record]) -> bool:
    """Whether hashes are hex digits, and each simhash, which has 16 at most, all of them."""
    simhashes = list(map(_simhash, records))
    digits = "".join(simhashes)
    if len(digits) != SIMHASH_DIGITS * (len(simhashes) - simhashes.count("")):
        return False
    digits += "".join(chain.from_iterable(map(_prompt, records)))
    try:  # fromhex skips blanks: then the lengths differ
        return len(bytes.fromhex(digits)) * 2 == len(digits)
    except ValueError:
        return False
