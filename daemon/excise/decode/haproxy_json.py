"""Format `haproxy-json`: a JSON log-format of HAProxy whose keys are its aliases.

`%{+json}o` names values so from HAProxy 3.0 on; before that a format string can be written by
hand. Beside the aliases, fields of the record may be there, and win.
"""

from __future__ import annotations

from collections.abc import Mapping

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.fields import FIELDS
from excise.decode.jsonformat import JsonDecoder
from excise.decode.readers import microseconds, milliseconds, or_plaintext, whole
from excise.decode.shape import Row, Shape, record_rows, slot_rows
from excise.decode.slots import Slot
from excise.decode.times import Times

NAME = "haproxy-json"


def _handshake(value: object) -> object:
    """Return the seconds of `%Th`; 0 is what HAProxy writes where there was no handshake to time.

    That is in plaintext, and of every request but the first of a connection.
    """
    return milliseconds(value) or None


_KEYS: Mapping[str, Slot] = {
    "ci": Slot(slots.REMOTE),
    "src": Slot(slots.REMOTE),
    "cp": Slot(slots.REMOTE_PORT),
    "src_port": Slot(slots.REMOTE_PORT),
    "sport": Slot(slots.REMOTE_PORT),
    "fc_src": Slot(slots.SOCKET),
    "xff": Slot(slots.FORWARDED_FOR),
    "forwarded": Slot(slots.FORWARDED),
    "authorization": Slot(slots.CLAIM),
    "HM": Slot("method"),
    "HPO": Slot("path"),
    "HP": Slot("path"),
    "HU": Slot("path"),
    "r": Slot(slots.REQUEST),
    "ST": Slot("status", whole),
    "U": Slot("bytes_in"),
    "B": Slot("bytes_out"),
    "Tr": Slot("ttfb", milliseconds),
    "Ta": Slot("duration", milliseconds),
    "Tt": Slot("duration", milliseconds),
    "Th": Slot("tls_handshake", _handshake),
    "fc_rtt": Slot("tcp_rtt", milliseconds),
    "fc_rtt_us": Slot("tcp_rtt", microseconds),
    "sslv": Slot("tls", or_plaintext),
    "ssl_fc_sni": Slot("sni"),
    "ssl_fc_alpn": Slot("alpn"),
    "ID": Slot("request_id"),
    "ua": Slot("user_agent"),
}
_UNNEEDED = frozenset(
    [
        "T",
        "Tc",
        "Ti",
        "Tl",
        "TR",
        "Tw",
        "Tq",
        "Ts",
        "ac",
        "b",
        "bc",
        "bi",
        "bp",
        "bq",
        "f",
        "fc",
        "ft",
        "hr",
        "hs",
        "HQ",
        "HV",
        "CC",
        "CS",
        "H",
        "lc",
        "ms",
        "pid",
        "rc",
        "rt",
        "s",
        "sc",
        "si",
        "sp",
        "sq",
        "sslc",
        "ts",
        "tsc",
        "ttype",
        "term",
    ]
)


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    rows = (
        *record_rows([name for name in FIELDS if name not in ("client", "peer", "ts")]),
        *slot_rows(_KEYS),
        Row(("ts",), "ts", times.iso),
        Row(("tr",), slots.START, times.common),
    )
    aliases = Shape(rows, frozenset({"ci", "ST"}), _UNNEEDED)
    names = Shape(rows, frozenset({"src", "ST"}), _UNNEEDED)
    return JsonDecoder(NAME, lambda keys: names if "src" in keys else aliases, context)
