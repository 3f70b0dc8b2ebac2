"""Format `nginx-json`: an `escape=json` log whose keys are nginx's variable names.

Any of the variables of `nginx_variables` may be there, in any order, beside fields of the record
itself, which win. A `log_format` can so be written without looking up what excise calls a thing.
"""

from __future__ import annotations

from excise.decode.base import DecodeContext
from excise.decode.fields import FIELDS
from excise.decode.jsonformat import JsonDecoder
from excise.decode.nginx_variables import NginxVariables
from excise.decode.shape import Row, Shape, record_rows

NAME = "nginx-json"
_SHAPES_KEPT = 64


class _Shapes:
    """The shape for each set of keys that was met; bounded."""

    def __init__(self, context: DecodeContext) -> None:
        self._variables = NginxVariables(context)
        self._known: dict[tuple[str, ...], Shape] = {}

    def shape(self, keys: tuple[str, ...]) -> Shape:
        """Return which keys say what: the record's own names first, then variables by rank."""
        shape = self._known.get(keys)
        if shape is None:
            if len(self._known) >= _SHAPES_KEPT:
                self._known.clear()
            shape = self._known[keys] = self._make(keys)
        return shape

    def _make(self, keys: tuple[str, ...]) -> Shape:
        rows = list(record_rows(keys))
        rows += [
            Row((name,), slot.name, slot.read)
            for name in self._variables.ranked(set(keys) - FIELDS.keys())
            if (slot := self._variables.slot(name)) is not None
        ]
        # `status` and the like are both: a field of the record, and the variable of that name.
        return Shape(tuple(rows), known=frozenset())


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    return JsonDecoder(NAME, _Shapes(context).shape, context)
