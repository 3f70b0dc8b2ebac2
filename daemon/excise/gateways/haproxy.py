"""HAProxy's runtime socket: maps of accounts, each swapped as a whole (management guide 9.3)."""

from __future__ import annotations

import re
import socket
from itertools import islice
from pathlib import Path

from excise.gateways.verdicts import BoardError, Term, Terms

TIMEOUT_S = 5.0
#: a command must fit into HAProxy's buffer, 16 KiB as shipped
ROWS_AT_ONCE = 64
_VERSION = re.compile(r"New version created: (\d+)")


class HaproxyBoard:
    """The map `file` of the HAProxy behind a socket of level admin.

    `required`: it is missed also where nobody would be on it.
    """

    def __init__(self, socket_path: Path, file: str, *, required: bool = True) -> None:
        self._socket_path, self._file, self._required = socket_path, file, required

    def show(self, terms: Terms) -> None:
        """See `Board`. The new map takes the place of the old one in one step."""
        found = _VERSION.search(self._ask(f"prepare map {self._file}"))
        if found is None:
            if not terms and not self._required:
                return
            raise BoardError(
                f"HAProxy at {self._socket_path} has no map {self._file}, or the socket is not"
                " `level admin`"
            )
        version = found[1]
        rows = iter(terms.items())
        while some := list(islice(rows, ROWS_AT_ONCE)):
            # A payload ends with an empty line.
            text = "\n".join(f"{account} {_value(term)}" for account, term in some)
            self._told(f"add map @{version} {self._file} <<\n{text}\n")
        self._told(f"commit map @{version} {self._file}")

    def _told(self, command: str) -> None:
        """Have a command done that answers nothing if it worked."""
        answer = self._ask(command).strip()
        if answer:
            raise BoardError(f"HAProxy at {self._socket_path}: {answer.splitlines()[0]}")

    def _ask(self, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(str(self._socket_path))
                connection.sendall(f"{command}\n".encode())
                answer = b""
                while piece := connection.recv(65_536):
                    answer += piece
        except OSError as error:
            raise BoardError(
                f"HAProxy at {self._socket_path}: {error.strerror or error}"
            ) from error
        return answer.decode(errors="replace")


def _value(term: Term) -> str:
    """Return what an account's row says: until when, and for a throttle the minutes to a turn."""
    return f"{int(term.until)}:{term.minutes}" if term.minutes else f"{int(term.until)}"
