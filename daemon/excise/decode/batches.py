"""Many ordinary lines at once, and the odd one alone.

A fast way takes a batch only if all of its lines are ordinary. Batches shrink around an odd line,
which then goes the careful way, and grow again after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from excise.decode.base import MAX_LINE_BYTES, LineRejectedError, blank, reject
from excise.model.record import Decoded, Record, Reject

#: lines decoded at once: few enough for their bytes to stay in the second-level cache
BATCH = 128


@dataclass(slots=True)
class Tally:
    """What became of a chunk so far."""

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: int = 0

    def decoded(self) -> Decoded:
        """Return it as a decoder does."""
        return Decoded(self.records, self.rejects, self.ignored)


#: lines to (records, ignored fields), or None where one of them is odd
Fast = Callable[[Sequence[bytes]], tuple[list[Record], int] | None]
#: a line to (record, ignored fields); raises LineRejectedError
Careful = Callable[[bytes], tuple[Record, int]]


def decode_batches(lines: Sequence[bytes], fast: Fast, careful: Careful) -> Decoded:
    """Decode whole lines, as many as possible at a time."""
    tally = Tally()
    at, size = 0, BATCH
    while at < len(lines):
        batch = lines[at : at + size]
        # A line alone costs less the careful way than in a batch of one.
        done = fast(batch) if len(batch) > 1 else None
        if done is None and len(batch) > 1:
            size = len(batch) // 8 or 1
            continue
        if done is not None:
            tally.records += done[0]
            tally.ignored += done[1]
            size = min(2 * size, BATCH)
        else:
            _decode_one(batch[0], careful, tally)
            size = min(2 * size, BATCH)
        at += len(batch)
    return tally.decoded()


def _decode_one(line: bytes, careful: Careful, tally: Tally) -> None:
    if blank(line):
        return
    try:
        if len(line) > MAX_LINE_BYTES:
            raise LineRejectedError("too-long")  # noqa: TRY301 - one place builds rejects
        record, ignored = careful(line)
    except LineRejectedError as error:
        tally.rejects.append(reject(line, error.reason))
    else:
        tally.records.append(record)
        tally.ignored += ignored
