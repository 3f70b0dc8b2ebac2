"""Lines between two stored places, read again at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from excise.config import JournalConfig
from excise.daemon.inputs import decode_cursor
from excise.errors import SourceError
from excise.sources.base import HEAD_BYTES, Chunk, Cursor, Mark, Source, head_length
from excise.sources.journal import entries_between

#: entries of the journal that are decoded together
_ENTRIES = 1000


def reread_file(
    open_source: Callable[[], Source], begin: str | None, end: str
) -> Iterator[list[bytes]]:
    """Yield the lines of a file between two cursors. Raises SourceError where they are gone."""
    stop = decode_cursor(end)
    if not isinstance(stop, Cursor):
        raise SourceError("the stored cursor is no place in a file; learned less")
    with closing(open_source()) as source:
        if begin is not None:
            source.seek(decode_cursor(begin))
        while (chunk := source.poll()) is not None:
            if chunk.lost:
                raise SourceError("the log since the last snapshot is gone; learned less")
            lines, done = lines_before(chunk, stop)
            yield lines
            if done:
                return
    raise SourceError("the log ends before the stored place; learned less")


def reread_journal(config: JournalConfig, begin: str | None, end: str) -> Iterator[list[bytes]]:
    """Yield the lines of the journal between two cursors. Raises SourceError likewise."""
    first = decode_cursor(begin) if begin is not None else None
    stop = decode_cursor(end)
    if not isinstance(stop, Mark) or not (first is None or isinstance(first, Mark)):
        raise SourceError("the stored cursor is no place in a journal; learned less")
    lines: list[bytes] = []
    for count, entry in enumerate(
        entries_between(config, first.mark if first else None, stop.mark), start=1
    ):
        lines += entry.lines
        if count % _ENTRIES == 0 or entry.cursor == stop.mark:
            yield lines
            lines = []


def lines_before(chunk: Chunk, stop: Cursor) -> tuple[list[bytes], bool]:
    """Return the lines of a chunk that are before `stop`, and whether it lies within."""
    here = chunk.cursor
    if not isinstance(here, Cursor) or not _same_file(here, stop) or here.offset < stop.offset:
        return chunk.lines, False
    kept, excess = len(chunk.lines), here.offset - stop.offset
    while kept and excess > 0:
        kept -= 1
        excess -= len(chunk.lines[kept]) + 1
    return chunk.lines[:kept], True


def _same_file(here: Cursor, stop: Cursor) -> bool:
    """Whether two places are in one file, or in it and a copy that was compressed since."""
    if (here.dev, here.ino) == (stop.dev, stop.ino):
        return True
    return here.head == stop.head and head_length(stop.head) == HEAD_BYTES
