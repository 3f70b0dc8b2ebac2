"""Small readers of loose values: units, lists of retries, versions, endpoints."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from excise.decode.base import LineRejectedError
from excise.decode.fields import NUMBER, known
from excise.decode.request import without_query
from excise.decode.slots import Read

#: several upstreams tried: "0.1, 0.2"; an internal redirect between them: "0.1 : 0.2"
_SEPARATOR = re.compile(r"\s*[,:]\s*")
_TLS_NUMBERS: Mapping[object, str] = MappingProxyType(
    {768: "SSLv3", 769: "TLSv1", 770: "TLSv1.1", 771: "TLSv1.2", 772: "TLSv1.3"}
)


def last(value: object) -> object:
    """Return the last known of a list of values of the upstreams tried: it answered.

    Where none of them is known that is `""`: text stays text.
    """
    if not isinstance(value, str) or ("," not in value and ":" not in value):
        return value
    return next(filter(known, reversed(_SEPARATOR.split(value.strip()))), "")


#: readers that leave a text as it is unless one of these characters is in it
ONLY_WITH: Mapping[Read, str] = MappingProxyType({last: ",:", without_query: "?#:"})


def or_plaintext(value: object) -> object:
    """Return a TLS version; where there is none, the request came in plaintext."""
    return tls_version(value) if known(value) else "none"


def tls_version(value: object) -> object:
    """Return a TLS version as OpenSSL spells it: of `1.3`, `TLSv1_3`, 772 too."""
    if type(value) is int:
        return _TLS_NUMBERS.get(value)
    if not isinstance(value, str) or not value[:1].isdigit():
        return value.replace("_", ".") if isinstance(value, str) else value
    return f"TLSv{value}"


def scaled(factor: float) -> Read:
    """Return a reader of a number in another unit, `factor` seconds each; below 0: not known."""

    def read(value: object) -> object:
        if isinstance(value, str):
            if not NUMBER.fullmatch(value):
                return value if known(value) else None
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value  # the field will say what is wrong with it
        if isinstance(value, int) and value.bit_length() > 64:
            return math.inf
        return None if value < 0 else min(float(value), 1e300) * factor

    return read


milliseconds, microseconds, nanoseconds = scaled(1e-3), scaled(1e-6), scaled(1e-9)


def first(value: object) -> object:
    """Return the first entry of a header's list of values; anything else as it is."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def joined(value: object) -> object:
    """Return a header that came several times as one, as RFC 9110 5.3 joins them."""
    if isinstance(value, list):
        return ", ".join(entry for entry in value if isinstance(entry, str))
    return value


def credential(value: object) -> object:
    """Return a credential, nothing where the gateway has blanked it."""
    found = first(value)
    return None if isinstance(found, str) and found.upper() == "REDACTED" else found


def whole(value: object) -> object:
    """Return a number that is not negative; -1 and the like are "not known"."""
    if type(value) is int:
        return None if value < 0 else value
    if isinstance(value, str) and re.fullmatch(r"-[0-9]{1,18}", value):
        return None
    return value


def with_port(value: object) -> object:
    """Return `address:port` with the address in brackets if it needs them.

    For writers that always put a port behind: without brackets, `2001:db8::7:80` would be one
    address too.
    """
    if not isinstance(value, str) or value.startswith(("[", "unix:")):
        return value
    address, colon, port = value.rpartition(":")
    return f"[{address}]:{port}" if ":" in address else address + colon + port


def text_or_reject(name: str, value: object) -> str:
    """Return text, or `""` where it is not known. Raises LineRejectedError for anything else."""
    if not known(value):
        return ""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    raise LineRejectedError(f"type:{name}")
