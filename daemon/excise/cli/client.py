"""A small client of the control API over its unix socket. Standard library: starts at once."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from excise.errors import (
    EnforceError,
    ExciseError,
    InvalidError,
    NotFoundError,
    RefusedError,
    StoreError,
    UnreachableError,
)
from excise.model.record import short_name

TIMEOUT_S = 30.0
T = TypeVar("T")


class MisusedError(ExciseError):
    """The daemon finds that what was asked makes no sense."""

    exit_status = 2


class _Problem(msgspec.Struct, frozen=True):
    type: str = ""
    title: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `data` is its JSON text."""

    name: str
    data: str


#: last word of a problem's type → the class that carries its meaning (and exit status) here
_ERRORS: dict[str, type[ExciseError]] = {
    "refused": RefusedError,
    "no-right": RefusedError,
    "forbidden": RefusedError,
    "not-found": NotFoundError,
    "invalid": MisusedError,
    "reload-refused": InvalidError,
    "enforcer": EnforceError,
    "store": StoreError,
}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """Asks one daemon. Every method raises UnreachableError if it does not answer.

    A refusal by the daemon raises the class that its problem document stands for.
    """

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    def get(self, path: str, **query: object) -> bytes:
        """Return the JSON text of an answer; query parameters that are None are left out."""
        return self._exchange("GET", _with_query(path, query), None)

    def send(self, method: str, path: str, body: dict[str, object] | None = None) -> bytes:
        """Write; keys of `body` that are None are left out. Return the JSON text of the answer."""
        kept = {key: value for key, value in (body or {}).items() if value is not None}
        return self._exchange(method, path, json.dumps(kept).encode() if kept else None)

    def events(self, *, after: int | None, only: str, follow: bool) -> Iterator[Event]:
        """Yield events as they happen; first those kept after serial `after`, if given."""
        path = _with_query("/v1/events", {"only": only, "follow": str(follow).lower()})
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with closing(_UnixConnection(self.socket_path)) as connection:
            response = self._respond(connection, "GET", path, None, headers)
            try:
                yield from _parse_events(response)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
        if follow:
            raise UnreachableError("the daemon ended the stream; it stops, or could not keep up")

    def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json"} if body else {}
        with closing(_UnixConnection(self.socket_path)) as connection:
            response = self._respond(connection, method, path, body, headers)
            try:
                return response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error

    def _respond(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            if response.status < http.client.BAD_REQUEST:
                return response
            problem = response.read()
        except PermissionError as error:
            raise RefusedError(
                f"{self.socket_path}: you may not use this socket; be root or join its group"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        raise _error_of(response.status, problem)

    def _unreachable(self, error: Exception) -> UnreachableError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return UnreachableError(
            f"no daemon answers on {self.socket_path} ({reason or type(error).__name__}); "
            "start it with `excise run`, or name its socket with --socket"
        )


def decode(raw: bytes, kind: type[T]) -> T:
    """Return an answer as a value. Raises ExciseError for the answer of another version."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise ExciseError(f"the daemon's answer is not understood: {error}") from error


def segment(text: str) -> str:
    """Return a name as one segment of a path; a long one as the daemon keeps it."""
    return quote(short_name(text), safe="")


def _with_query(path: str, query: dict[str, object]) -> str:
    given = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _error_of(status: int, body: bytes) -> ExciseError:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem(title=f"the daemon answered with status {status} and no reason")
    kind = _ERRORS.get(problem.type.rpartition(":")[2], ExciseError)
    return kind(problem.detail or problem.title)


def _parse_events(response: http.client.HTTPResponse) -> Iterator[Event]:
    name = data = ""
    while line := response.readline():
        field, _, value = line.decode().rstrip("\n").partition(": ")
        match field:
            case "event":
                name = value
            case "data":
                data = value
            case "" if data and line == b"\n":
                yield Event(name, data)
                name = data = ""
