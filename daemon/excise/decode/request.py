"""The request line as a log has it, which is what a client made of it."""

from __future__ import annotations

import re

_REQUEST = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (\S+) HTTP/[0-9](?:\.[0-9])?")


def split_request(text: str) -> tuple[str, str]:
    """Return (method, path without query) of a request line (RFC 9112 3), `""` where it is none."""
    found = _REQUEST.fullmatch(text)
    return (found[1], str(without_query(found[2]))) if found else ("", "")


def without_query(value: object) -> object:
    """Return a path, or an absolute URL's path, without query: that may hold keys."""
    if not isinstance(value, str):
        return value
    path = value.partition("?")[0].partition("#")[0]
    if "://" in path and not path.startswith("/"):
        _, slash, tail = path.partition("://")[2].partition("/")
        path = slash + tail if slash else "/"
    return "" if path == "-" else path
