"""Opening the doors: the unix socket, the loopback listener, the bearer token."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from excise.api.access import read_peer
from excise.errors import ConfigError, ExciseError
from excise.hostfile import write_whole

SOCKET_MODE = 0o660
PARENT_MODE = 0o750
TOKEN_NAME = "api-token"  # noqa: S105  # a file's name
TOKEN_LEAST_CHARS = 16


class TakenError(ExciseError):
    """Another daemon answers on the control socket."""


def bind_unix(path: Path) -> socket.socket:
    """Return a bound, not yet listening, stream socket at `path`, mode 0660.

    The parent directory is made with mode 0750 if it is missing. A socket that nobody answers on
    is left from a crash and is replaced. Raises TakenError if a process answers, ConfigError if
    the path cannot be used.
    """
    try:
        path.parent.mkdir(mode=PARENT_MODE, parents=True, exist_ok=True)
        _remove_stale(path)
        return _bind(path)
    except OSError as error:
        raise ConfigError(
            f"control socket {path}: {error.strerror or error}",
            hint="the user that runs excise must be able to make and remove it; remove one that"
            " somebody else left, or set api.socket to another path",
        ) from error


def close_unix(sock: socket.socket, path: Path) -> None:
    """Close the socket and remove its file."""
    sock.close()
    path.unlink(missing_ok=True)


def _bind(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        sock.bind(str(path))
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"control socket {path}: something else is there", hint="remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except (TimeoutError, BlockingIOError):
            raise TakenError(f"a process listens on {path} but does not answer; stop it") from None
        pid = read_peer(probe).pid
    raise TakenError(
        f"excise already runs as process {pid} ({_command_of(pid)}) on {path}; "
        "stop it, or set api.socket to another path"
    )


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "unknown command"


def require_loopback(host: str) -> None:
    """Raise ConfigError for an address that is not loopback: the token travels in the clear."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"api.listen: {host} is not a loopback address",
            hint="put a TLS proxy in front to reach the API from elsewhere",
        )


def load_token(state: Path, environ: Mapping[str, str]) -> str:
    """Return the bearer token: the service manager's credential, else `<state>/api-token`.

    The file is made at first start, readable by its owner alone (systemd.exec(5), LoadCredential=).
    Raises ConfigError if it is readable by others or too short to be a secret.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    given = Path(credentials) / TOKEN_NAME if credentials else None
    try:
        if given is not None and given.exists():
            return _checked(given)
        path = state / TOKEN_NAME
        if not path.exists():
            path.parent.mkdir(mode=PARENT_MODE, parents=True, exist_ok=True)
            write_whole(path, (f"{secrets.token_urlsafe(32)}\n".encode(),), 0o600)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} is open to others", hint=f"chmod 600 {path}")
        return _checked(path)
    except OSError as error:
        where = error.filename or state
        raise ConfigError(
            f"API token {where}: {error.strerror or error}", hint="check space and rights there"
        ) from error


def _checked(path: Path) -> str:
    token = path.read_text().strip()
    if len(token) < TOKEN_LEAST_CHARS:
        raise ConfigError(
            f"{path} holds less than {TOKEN_LEAST_CHARS} characters of token",
            hint="remove it and a new one is made, or write a longer one",
        )
    return token
