"""`inputs[].format`: a name, or a mapping from a name to what a format has to be told."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from excise.decode.base import DecodeContext
from excise.decode.custom_json import DURATIONS, MOMENTS, NAMES, TIMES, UNITS, FieldPath
from excise.decode.registry import AUTO, FORMATS, JSON, Format, make_decoder
from excise.decode.shape import Path
from excise.errors import FormatError
from excise.model.document import Fields, Node
from excise.model.scalars import one_of, text

NGINX = "nginx"
_EXAMPLE = "like {nginx: '$remote_addr …'}, {json: {fields: {client: ip, ts: time}}}"
_NOWHERE = DecodeContext(trusted=(), account_key=b"")


def read_format(node: Node) -> str | Format:
    """Read a format: its name, or `{name: options}`."""
    if not isinstance(node.value, dict):
        if node.value == JSON:
            raise node.error("json needs a mapping of fields", "like {json: {fields: {…}}}")
        return one_of((AUTO, *FORMATS))(node)
    if len(node.value) != 1:
        raise node.error("must name one format", _EXAMPLE)
    ((name, value),) = node.value.items()
    inner = node.child(name, value)
    if name not in (*FORMATS, JSON):
        one_of((*FORMATS, JSON))(node.child(name, name))
    made = _nginx(inner) if name == NGINX else _json(inner) if name == JSON else _plain(name, inner)
    if name == JSON and not made.fields:
        return made  # there is a problem about them already
    try:
        make_decoder(made, _NOWHERE)
    except FormatError as error:
        raise inner.error(f"cannot be used: {error.message}", error.hint) from error
    return made


def _plain(name: str, node: Node) -> Format:
    return Format(name, zone=_zone(Fields(node, ("timezone",))))


def _nginx(node: Node) -> Format:
    if not isinstance(node.value, dict):
        return Format(NGINX, template=text(node))
    fields = Fields(node, ("log_format", "timezone"))
    return Format(NGINX, template=fields.get("log_format", text, ""), zone=_zone(fields))


def _json(node: Node) -> Format:
    fields = Fields(node, ("fields", "timezone"))
    if "fields" not in fields:
        raise node.error("needs fields", "like {fields: {client: request.remote_ip, ts: time}}")
    return Format(JSON, fields=fields.get("fields", _mapping, ()), zone=_zone(fields))


def _zone(fields: Fields) -> str:
    return fields.get("timezone", _timezone, "")


def _timezone(node: Node) -> str:
    name = text(node)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise node.error(f"is no time zone: {name!r}", "like Europe/Berlin, or UTC") from None
    return name


def _mapping(node: Node) -> tuple[FieldPath, ...]:
    if not isinstance(node.value, dict):
        raise node.error("must be a mapping", "like {client: request.remote_ip}")
    Fields(node, NAMES)
    found = [_field(n, node.child(n, v)) for n, v in node.value.items() if n in NAMES]
    names = {field.name for field in found}
    if "client" not in names and "x_forwarded_for" not in names:
        raise node.error("do not say where client is found", "add client: KEY")
    if not names & MOMENTS:
        raise node.error("do not say where ts is found", "add ts: KEY")
    return tuple(found)


def _field(name: str, node: Node) -> FieldPath:
    """Read where a field is found: a path, or a mapping with its unit or its way to write times."""
    if not isinstance(node.value, dict):
        return FieldPath(name, (_path(node),))
    keys = ["path", "or"]
    keys += ["unit"] if name in DURATIONS else ["time"] if name in MOMENTS else []
    fields = Fields(node, keys)
    if "path" not in fields:
        raise node.error("needs a path", "like {path: request.duration, unit: ms}")
    paths: list[Path] = [fields.get("path", _path, ())]
    if "or" in fields:
        paths.append(fields.get("or", _path, ()))
    return FieldPath(
        name,
        tuple(paths),
        unit=fields.get("unit", one_of(tuple(UNITS)), "s"),
        time=fields.get("time", one_of(TIMES), "auto"),
    )


def _path(node: Node) -> Path:
    """Read `request.remote_ip`, or the keys in a list where one of them holds a dot."""
    if isinstance(node.value, list):
        keys = tuple(text(item) for item in node.items())
        if not keys:
            raise node.error("must name at least one key")
        return keys
    keys = tuple(text(node).split("."))
    if not all(keys):
        raise node.error(f"has an empty key in {node.value!r}", "keys are separated by single dots")
    return keys
