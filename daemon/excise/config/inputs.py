"""The key `inputs`: where lines come from."""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

from excise.config.formats import read_format
from excise.config.values import (
    LOOPBACK,
    QUIET_AFTER_S,
    InputConfig,
    JournalConfig,
    SocketConfig,
    Wire,
)
from excise.decode.registry import AUTO, Format
from excise.errors import InvalidError
from excise.model.document import Fields, Node, each
from excise.model.scalars import between, boolean, duration, integer, network, text, texts

SOURCE_KEYS = ("file", "stdin", "journal", "syslog", "datagram", "http")
INPUT_KEYS = (*SOURCE_KEYS, "format", "from_start", "quiet_after", "ports")
JOURNAL_KEYS = ("units", "identifiers", "matches", "directory")
UNIX_KEYS = ("mode", "group")
DATAGRAM_KEYS = ("unix", *UNIX_KEYS)
SYSLOG_KEYS = ("unix", "udp", "tcp", "allow", *UNIX_KEYS)
#: what keeps a place that reading may begin at the start of
PLACED = ("file", "journal")
NEVER = "never"
#: sun_path holds 108 bytes with the one that ends it (unix(7))
MOST_PATH_BYTES = 107
_MODE = re.compile(r"0?[0-7]{3}")
_MATCH = re.compile(r"[A-Z_][A-Z0-9_]*=.*", re.DOTALL)
_LIKE_FILE = "like {file: /var/log/x.log}"


def inputs(node: Node) -> tuple[InputConfig, ...]:
    """Read the list of inputs: each is named once."""
    found = each(_input)(node)
    for name, times in Counter(item.name for item in found).items():
        if times > 1:
            said = {"stdin": "standard input"}.get(name, name)
            raise node.error(f"names {said} twice")
    return found


def absolute_path(node: Node) -> Path:
    """Read an absolute path."""
    path = Path(text(node))
    if not path.is_absolute():
        raise node.error(f"must be an absolute path, found {str(path)!r}")
    return path


def port_list(node: Node) -> tuple[int, ...]:
    """Read a list of TCP ports, at least one."""
    found = each(between(1, 65_535, integer))(node)
    if node.value == []:
        raise node.error("must name at least one port")
    return tuple(dict.fromkeys(found))


def _input(node: Node) -> InputConfig:
    if not isinstance(node.value, dict):
        raise node.error("must be mappings", _LIKE_FILE)
    fields = Fields(node, INPUT_KEYS)
    kinds = [key for key in SOURCE_KEYS if key in fields]
    if len(kinds) != 1:
        raise node.error(f"takes exactly one of {', '.join(SOURCE_KEYS)}", _LIKE_FILE)
    (kind,) = kinds
    quiet_after_s: float | None = QUIET_AFTER_S
    default_format: str | Format = "record" if kind == "http" else AUTO
    for key in ("stdin", "http"):
        if kind == key:
            fields.get(key, _present, None)
    if "from_start" in fields and kind not in PLACED:
        raise node.error(f"from_start has no meaning for {kind}")
    return InputConfig(
        file=fields.get("file", absolute_path, None),
        format=fields.get("format", read_format, default_format),
        from_start=fields.get("from_start", boolean, False),
        journal=fields.get("journal", _journal, None),
        socket=fields.get("syslog", _syslog, None) or fields.get("datagram", _datagram, None),
        http=kind == "http",
        quiet_after_s=fields.get("quiet_after", _quiet_after, quiet_after_s),
        ports=fields.get("ports", port_list, ()),
    )


def _present(node: Node) -> None:
    if node.value is not None and node.value is not True:
        raise node.error("takes no value but true")


def _quiet_after(node: Node) -> float | None:
    if node.value == NEVER:
        return None
    try:
        return duration(node)
    except InvalidError as error:
        raise node.error("must be a duration or never", "like 5m") from error


def _journal(node: Node) -> JournalConfig:
    before = len(node.problems)
    fields = Fields(node, JOURNAL_KEYS)
    chosen = JournalConfig(
        units=fields.get("units", each(_unit), ()),
        identifiers=fields.get("identifiers", texts, ()),
        matches=fields.get("matches", each(_match), ()),
        directory=fields.get("directory", absolute_path, None),
    )
    if len(node.problems) == before and not (chosen.units or chosen.identifiers or chosen.matches):
        raise node.error("must say whose entries are read", "like {units: [nginx.service]}")
    return chosen


def _unit(node: Node) -> str:
    unit = text(node)
    return unit if "." in unit else f"{unit}.service"


def _match(node: Node) -> str:
    match = text(node)
    if not _MATCH.fullmatch(match):
        raise node.error(f"must be FIELD=value, found {match!r}", "see journalctl(1)")
    return match


def _datagram(node: Node) -> SocketConfig:
    if isinstance(node.value, str):
        return SocketConfig(Wire.UNIX, path=_socket_path(node))
    return _unix(Fields(node, DATAGRAM_KEYS), syslog=False)


def _syslog(node: Node) -> SocketConfig:
    if isinstance(node.value, str):
        return SocketConfig(Wire.UNIX, syslog=True, path=_socket_path(node))
    fields = Fields(node, SYSLOG_KEYS)
    wires = [wire for wire in Wire if wire.value in fields]
    if wires == [Wire.UNIX]:
        if "allow" in fields:
            raise node.error("allow has no meaning for unix", "mode and group say who may write")
        return _unix(fields, syslog=True)
    if len(wires) != 1:
        raise node.error("takes exactly one of unix, udp and tcp", 'like {udp: "127.0.0.1:5514"}')
    for key in UNIX_KEYS:
        if key in fields:
            raise node.error(f"{key} has no meaning for {wires[0]}")
    address = fields.get(wires[0].value, _address, ("", 0))
    loopback: tuple[str, ...] = LOOPBACK
    allow = fields.get("allow", each(network), loopback)
    if address[0] and not ip_address(address[0]).is_loopback and "allow" not in fields:
        raise node.error("listens beyond this host", "say in allow whose messages are taken")
    return SocketConfig(wires[0], syslog=True, address=address, allow=allow)


def _unix(fields: Fields, *, syslog: bool) -> SocketConfig:
    return SocketConfig(
        Wire.UNIX,
        syslog=syslog,
        path=fields.need("unix", _socket_path, Path()),
        mode=fields.get("mode", _mode, 0o660),
        group=fields.get("group", text, None),
    )


def _socket_path(node: Node) -> Path:
    path = absolute_path(node)
    if len(str(path).encode()) > MOST_PATH_BYTES:
        raise node.error(f"is too long for a socket: at most {MOST_PATH_BYTES} bytes")
    return path


def _mode(node: Node) -> int:
    if not isinstance(node.value, str) or not _MODE.fullmatch(node.value):
        raise node.error("must be an octal mode in quotes", 'like "0660"')
    return int(node.value, 8)


def _address(node: Node) -> tuple[str, int]:
    like = 'like "127.0.0.1:5514"'
    host, _, port = text(node).rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise node.error(f"must be an address and a port, found {node.value!r}", like) from None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise node.error(f"must end in a port, found {port!r}", like)
    return str(address), int(port)
