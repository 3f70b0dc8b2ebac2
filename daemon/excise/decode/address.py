"""Addresses as text: one spelling per address, so that equal text means equal address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import cast

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_BRACKETED = re.compile(r"\[([^\]]*)\](?::([0-9]{1,5}))?")
_V4_PORT = re.compile(r"((?:::[fF]{4}:)?[0-9.]+):([0-9]{1,5})")
_FOR = re.compile(r"for=(?:\"([^\"\\]*)\"|([^\s;,\"]*))", re.IGNORECASE)
CACHE_SIZE = 262_144
#: longest text of an address: RFC 4291 2.2, form 3
_MAX_TEXT = 45


def canonical(text: str) -> str:
    """Return the canonical text (RFC 5952; a v4-mapped v6 address as v4), or `""`.

    Zone ids (`%eth0`) are refused: they name a link of this host, not a client.
    """
    if _V4.fullmatch(text):
        return text
    if len(text) > _MAX_TEXT or "%" in text:
        return ""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def hop(text: str) -> str:
    """Return the canonical address of one X-Forwarded-For hop, or `""` for junk.

    Beside bare addresses, `[v6]`, `[v6]:port` and `v4:port` are understood (RFC 7239 6).
    """
    text = text.strip(" \t")
    if wrapped := _BRACKETED.fullmatch(text):
        inner = wrapped[1]
        return canonical(inner) if ":" in inner else ""
    if ported := _V4_PORT.fullmatch(text):
        return canonical(ported[1])
    return canonical(text)


def told_for(element: str) -> str:
    """Return the `for` of one element of a Forwarded header (RFC 7239 4), `""` where it has none.

    Elements are cut at commas, quoted or not: no address holds one, and a client that leaves a
    quote open must not swallow what the next proxy appends.
    """
    told = [
        found[1] or found[2]
        for pair in element.split(";")
        if (found := _FOR.fullmatch(pair.strip(" \t")))
    ]
    return told[0] if len(told) == 1 else ""


def endpoint(text: str) -> tuple[str, str]:
    """Return (canonical address, port) of `address`, `v4:port` or `[v6]:port`; `""` for neither."""
    if wrapped := _BRACKETED.fullmatch(text):
        return hop(text), (wrapped[2] or "")
    if ported := _V4_PORT.fullmatch(text):
        return canonical(ported[1]), ported[2]
    return canonical(text), ""


class Addresses:
    """Bounded caches of `canonical` and `endpoint`. Forgets all when full: refilling is cheap."""

    __slots__ = ("_known", "_ported", "_size")

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._known: dict[str, str] = {}
        #: what stands before a port, if it is no address together with one
        self._ported: dict[str, str] = {}
        self._size = size

    def canonical(self, text: str) -> str:
        """Return what the function `canonical` returns."""
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= self._size:
                self._known.clear()
            known = self._known[text] = canonical(text)
        return known

    def canonical_all(self, texts: Sequence[str]) -> list[str]:
        """Return `canonical` of each, in order."""
        found = list(map(self._known.get, texts))
        if None in found:
            pairs = zip(found, texts, strict=True)
            return [self.canonical(text) if known is None else known for known, text in pairs]
        return cast("list[str]", found)

    def endpoint(self, text: str) -> tuple[str, str]:
        """Return what the function `endpoint` returns."""
        head, _, port = text.rpartition(":")
        known = self._ported.get(head)
        if known is not None and len(port) < 6 and port.isascii() and port.isdecimal():
            return known, port
        address, port = endpoint(text)
        if address and port:
            if len(self._ported) >= self._size:
                self._ported.clear()
            self._ported[head] = address
        return address, port
