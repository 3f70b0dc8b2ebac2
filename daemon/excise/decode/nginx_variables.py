"""nginx's variables, and what each says. For every format that nginx writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.readers import last, microseconds, or_plaintext
from excise.decode.slots import Slot
from excise.decode.times import Times

#: response headers or trailers of the upstream, without `x_`, `x_excise_` or `x_llm_`
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "account": "account",
        "org": "org",
        "model": "model",
        "input_tokens": "input_tokens",
        "output_tokens": "output_tokens",
        "reasoning_tokens": "reasoning_tokens",
        "cached_tokens": "cached_tokens",
        "prompt_tokens": "input_tokens",
        "generated_tokens": "output_tokens",
    }
)
_HEADER = re.compile(rf"upstream_(?:http|trailer)_x_(?:excise_|llm_)?({'|'.join(_HEADERS)})")
_FIXED: Mapping[str, Slot] = MappingProxyType(
    {
        "msec": Slot("ts"),
        "request_method": Slot("method"),
        "uri": Slot("path"),
        "request_uri": Slot("path"),
        "document_uri": Slot("path"),
        "status": Slot("status"),
        "request_length": Slot("bytes_in"),
        "bytes_sent": Slot("bytes_out"),
        "body_bytes_sent": Slot("bytes_out"),
        "request_time": Slot("duration"),
        "upstream_header_time": Slot("ttfb", last),
        "tcpinfo_rtt": Slot("tcp_rtt", microseconds),
        "ssl_protocol": Slot("tls", or_plaintext),
        "ssl_alpn_protocol": Slot("alpn"),
        "ssl_server_name": Slot("sni"),
        "http_ssl_ja4": Slot("ja4"),
        "http_user_agent": Slot("user_agent"),
        "connection": Slot("connection"),
        "request_id": Slot("request_id"),
        "remote_addr": Slot(slots.REMOTE),
        "remote_port": Slot(slots.REMOTE_PORT),
        "realip_remote_addr": Slot(slots.SOCKET),
        "realip_remote_port": Slot(slots.SOCKET_PORT),
        "proxy_protocol_addr": Slot(slots.PROXY_PROTOCOL),
        "proxy_protocol_port": Slot(slots.PROXY_PROTOCOL_PORT),
        "http_x_forwarded_for": Slot(slots.FORWARDED_FOR),
        "proxy_add_x_forwarded_for": Slot(slots.FORWARDED_FOR),
        "http_forwarded": Slot(slots.FORWARDED),
        "http_authorization": Slot(slots.CLAIM),
        "http_x_api_key": Slot(slots.CLAIM),
        "http_api_key": Slot(slots.CLAIM),
        "remote_user": Slot(slots.CLAIM),
        "request": Slot(slots.REQUEST),
    }
)


class NginxVariables:
    """The slot of each variable, with the host's zone for times that have none."""

    def __init__(self, context: DecodeContext) -> None:
        times = Times(context.zone)
        table = dict(_FIXED) | {
            "time_iso8601": Slot("ts", times.iso),
            "time_local": Slot("ts", times.common),
        }
        self._table = {
            name: Slot(slot.name, slot.read, rank)
            for rank, (name, slot) in enumerate(table.items())
        }

    def slot(self, name: str) -> Slot | None:
        """Return the slot that a variable fills, None for one that says nothing of use."""
        if name in self._table:
            return self._table[name]
        found = _HEADER.fullmatch(name)
        return Slot(_HEADERS[found[1]], last, len(self._table)) if found else None

    def ranked(self, names: set[str]) -> list[str]:
        """Return names in the order in which they are believed, where several fill a slot."""
        first = [name for name in self._table if name in names]
        return first + sorted(names.difference(first))
