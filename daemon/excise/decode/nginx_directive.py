"""nginx's `log_format` directive as it stands in a configuration, and those that write JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from excise.decode.nginx_variables import NginxVariables
from excise.decode.shape import Path, Row, Shape
from excise.errors import FormatError

VARIABLE = re.compile(r"\$(?:([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})")
_DIRECTIVE = re.compile(r"\s*log_format\s+(\S+)((?:\s+escape=\w+)?)\s+(.*?);?\s*", re.DOTALL)
_STRING = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\S+)""", re.DOTALL)
#: stands for a variable that is no JSON by itself, a number or a quoted text
_MARK = "\ufdd0"


def read_directive(text: str) -> str:
    """Return the format string of `log_format NAME [escape=…] '…' '…';`, or the text itself.

    Raises FormatError for `escape=none`: there a client writes into the log what it likes.
    """
    found = _DIRECTIVE.fullmatch(text)
    if found is None:
        return text
    if found[2].strip() == "escape=none":
        raise FormatError(
            "log_format with escape=none cannot be read: a client can write quotes into it",
            hint="use escape=json",
        )
    pieces = []
    for piece in _STRING.finditer(found[3]):
        inner = piece[1] if piece[1] is not None else piece[2]
        pieces.append(piece[3] if inner is None else re.sub(r"\\(.)", r"\1", inner))
    return "".join(pieces)


def json_shape(template: str, variables: NginxVariables) -> Shape:
    """Return the shape of lines that a format string in JSON writes. Raises FormatError."""
    marked = VARIABLE.sub(lambda v: f"{_MARK}{v[1] or v[2]}{_MARK}", template)
    # A variable outside quotes is a number or `null` in the log; here it takes quotes.
    quoted = re.sub(rf'(?<!")({_MARK}\w+{_MARK})(?!")', r'"\1"', _outside(marked))
    try:
        document = json.loads(quoted)
    except ValueError as error:
        raise FormatError(f"log_format begins like JSON and is none: {error}") from None
    rows: list[tuple[int, Row]] = []
    for path, name in _leaves(document, ()):
        if slot := variables.slot(name):
            rows.append((slot.rank, Row(path, slot.name, slot.read)))
    rows.sort(key=lambda ranked: ranked[0])
    names = {row.slot for _, row in rows}
    for needed, hint in (("ts", "$time_iso8601 or $msec"), ("remote", "$remote_addr")):
        if needed not in names:
            raise FormatError(f"log_format has no {hint}: a line of it is no record")
    return Shape(tuple(row for _, row in rows))


def _outside(text: str) -> str:
    """Return the text with marks inside longer quoted values made plain: they are no one value."""
    return re.sub(
        r'"((?:[^"\\]|\\.)*)"',
        lambda s: s[0] if re.fullmatch(rf"{_MARK}\w+{_MARK}", s[1]) else s[0].replace(_MARK, " "),
        text,
    )


def _leaves(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path and name of every value that is one variable."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, str) and (found := re.fullmatch(rf"{_MARK}(\w+){_MARK}", value)):
        yield path, found[1]
