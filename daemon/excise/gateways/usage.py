"""Token usage of a response, from its bytes as they pass: both ends are kept, never the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from excise.gateways.fields import MOST, Fields

HEAD_BYTES = 4096
TAIL_BYTES = 16_384
#: as much as a usage object is long, and what its name may be cut at
USAGE_BYTES = 1024
CUT_BYTES = 32
#: record field → names in OpenAI's and Anthropic's usage
_NAMES = {
    "input_tokens": ("prompt_tokens", "input_tokens"),
    "output_tokens": ("completion_tokens", "output_tokens"),
}
_DETAILS = {
    "reasoning_tokens": ("completion_tokens_details", "output_tokens_details"),
    "cached_tokens": ("prompt_tokens_details", "input_tokens_details"),
}
#: a server's usage is an object of numbers; text that a client wrote comes with escaped quotes
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_COUNT = re.compile(
    rb'"(prompt_tokens|input_tokens|completion_tokens|output_tokens|reasoning_tokens'
    rb'|cached_tokens)"\s*:\s*([0-9]{1,15})'
)
_PLAIN = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}


class Ends:
    """The first and last bytes of a body, and how many there were in all."""

    def __init__(self) -> None:
        self.size = self.events = 0
        #: the last usage object that passed, from its name on; what follows cannot push it out
        self.usage = b""
        self._cut = b""
        self._head = bytearray()
        self._tail: list[bytes] = []
        self._kept = 0

    def add(self, chunk: bytes) -> None:
        """Take a piece as it passes. This is in the way of every event: it stays cheap."""
        self.size += len(chunk)
        # A newline inside JSON is escaped, so no answer's text looks like an event.
        self.events += chunk.startswith(b"data: {") + chunk.count(b"\ndata: {")
        if 0 < len(self.usage) < USAGE_BYTES:
            self.usage += chunk[: USAGE_BYTES - len(self.usage)]
        seen = self._cut + chunk
        if b'"usage"' in seen:
            for found in _USAGE.finditer(seen):
                self.usage = seen[found.start() : found.start() + USAGE_BYTES]
        self._cut = seen[-CUT_BYTES:]
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        kept = chunk[-TAIL_BYTES:]
        self._tail.append(kept)
        self._kept += len(kept)
        if self._kept > 2 * TAIL_BYTES:
            self._tail = [self.tail]
            self._kept = len(self._tail[0])

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """The last bytes; the whole body if it is short."""
        return b"".join(self._tail)[-TAIL_BYTES:]


def usage(ends: Ends) -> Fields:
    """Return the token counts that a response tells; a stream that tells none, by its events."""
    fields: Fields = {}
    tail = ends.tail
    if ends.events:
        for event in (ends.head + b"\n" + tail).split(b"\n"):
            if event.startswith(b"data: {") and b"usage" in event:
                fields |= _told(event[6:])
    elif ends.size <= TAIL_BYTES:
        fields = _told(tail)
    if not fields:
        fields = _searched(ends.usage)
    if "output_tokens" not in fields and ends.events:
        fields["output_tokens"] = ends.events
    return fields


def _told(document: bytes) -> Fields:
    """Return the counts of a document's own usage, at the places where servers have it."""
    try:
        value = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    inner = [value.get(name) for name in ("response", "message")]
    places = [value, *(place for place in inner if isinstance(place, dict))]
    fields: Fields = {}
    for place in places:
        found = place.get("usage")
        if isinstance(found, dict):
            fields |= counts(found)
    return fields


def counts(told: Mapping[str, object]) -> Fields:
    """Return record fields of a usage object."""
    fields: Fields = {}
    for field, names in _NAMES.items():
        for name in names:
            if _count(told.get(name)):
                fields[field] = told[name]
    for field, names in _DETAILS.items():
        for name in names:
            details = told.get(name)
            if isinstance(details, dict) and _count(details.get(field)):
                fields[field] = details[field]
    return fields


def _searched(text: bytes) -> Fields:
    """Return the counts in the beginning of a usage object; the first of a name counts."""
    found = {name.decode(): int(count) for name, count in reversed(_COUNT.findall(text))}
    return {_PLAIN.get(name, name): count for name, count in found.items()}


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST
