"""Fields of the record by name, before they are a line."""

from __future__ import annotations

import msgspec

Fields = dict[str, object]
#: the largest count that the record takes
MOST = 2**53


def encode(fields: Fields) -> bytes:
    """Return fields as a line with its newline; what is not known (None, `""`, []) is left out."""
    known = {name: value for name, value in fields.items() if value not in (None, "", [])}
    return msgspec.json.encode(known) + b"\n"
