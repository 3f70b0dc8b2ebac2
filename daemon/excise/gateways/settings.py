"""Settings of the tap and the callback: environment variables, since that is all hosts pass on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from excise.errors import ConfigError

Network = IPv4Network | IPv6Network
RECORDS = "EXCISE_RECORDS"
KEY_FILE = "EXCISE_KEY_FILE"
TRUSTED = "EXCISE_TRUSTED_PROXIES"
MAX_BODY = "EXCISE_MAX_BODY_BYTES"
#: where uvicorn is told whom it may believe; we have to know it too
UVICORN_TRUSTED = "FORWARDED_ALLOW_IPS"
LOOPBACK = ("127.0.0.0/8", "::1/128")
DEFAULT_BODY_BYTES = 2 * 1024 * 1024
MOST_BODY_BYTES = 64 * 1024 * 1024
#: what a file is named by, beside the bare path; and a datagram socket
_FILE, _SOCKET = "file:", "unix:"


@dataclass(frozen=True, slots=True)
class TapSettings:
    """Where records go, and what is believed.

    `socket`: `path` is a unix datagram socket rather than a file. `trusted`: peers whose word on
    the client is believed. `only_local`: nobody but this host itself is among them.
    `max_body_bytes`: larger request bodies are not looked into.
    """

    path: Path
    socket: bool = False
    key_file: Path | None = None
    trusted: tuple[Network, ...] = ()
    only_local: bool = True
    max_body_bytes: int = DEFAULT_BODY_BYTES


def read_settings(environ: Mapping[str, str]) -> TapSettings:
    """Return the settings of an environment. Raises ConfigError."""
    target = environ.get(RECORDS, "")
    path = Path(target.removeprefix(_SOCKET).removeprefix(_FILE))
    if not path.is_absolute():
        raise ConfigError(
            f"{RECORDS}={target!r} names no absolute path; set it to /path/of/file or to"
            f" {_SOCKET}/path/of/socket"
        )
    key_file = environ.get(KEY_FILE)
    trusted = _networks(environ.get(TRUSTED, ""))
    told = environ.get(UVICORN_TRUSTED, "127.0.0.1").replace("localhost", "127.0.0.1")
    local = {*map(ip_network, LOOPBACK)}
    return TapSettings(
        path=path,
        socket=target.startswith(_SOCKET),
        key_file=Path(key_file) if key_file else None,
        trusted=(*local, *trusted),
        only_local=_is_local(trusted) and told.strip() != "*" and _is_local(_networks(told)),
        max_body_bytes=_size(environ.get(MAX_BODY, "")),
    )


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part)
    except ValueError as error:
        raise ConfigError(
            f"{TRUSTED} or {UVICORN_TRUSTED}: {error}; write networks as 192.0.2.0/24,2001:db8::/32"
        ) from error


def _is_local(networks: tuple[Network, ...]) -> bool:
    return all(network.is_loopback for network in networks)


def _size(text: str) -> int:
    if not text:
        return DEFAULT_BODY_BYTES
    if not text.isascii() or not text.isdecimal() or int(text) > MOST_BODY_BYTES:
        raise ConfigError(f"{MAX_BODY}={text!r} is no number of bytes up to {MOST_BODY_BYTES}")
    return int(text)
