"""Format `nginx-json`: an `escape=json` log whose keys are nginx's variable names.

Any of the variables below may be there, in any order, beside fields of the record itself, which
win. A `log_format` can so be written without looking up what excise calls a thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from excise.decode.address import Addresses
from excise.decode.base import DecodeContext, LineRejectedError, decode_each
from excise.decode.fields import FIELDS, build, known
from excise.decode.jsonline import parse_object
from excise.decode.request import split_request
from excise.decode.trust import TrustedProxies
from excise.model.record import Decoded, Record

#: several upstreams tried: "0.1, 0.2"; an internal redirect between them: "0.1 : 0.2"
_SEPARATOR = re.compile(r"\s*[,:]\s*")


def _as_is(value: object) -> object:
    return value


def _last(value: object) -> object:
    """Return the last known of a list of values of the upstreams tried: it answered."""
    if not isinstance(value, str):
        return value
    return next(filter(known, reversed(_SEPARATOR.split(value.strip()))), None)


def _without_query(value: object) -> object:
    return value.partition("?")[0] if isinstance(value, str) else value


def _or_plaintext(value: object) -> object:
    return value if known(value) else "none"


Read = Callable[[object], object]
#: nginx variable to the record's field and how to read it; where several give the same field,
#: the first that is known wins
_VARIABLES: Mapping[str, tuple[str, Read]] = MappingProxyType(
    {
        "msec": ("ts", _as_is),
        "time_iso8601": ("ts", _as_is),
        "request_method": ("method", _as_is),
        "uri": ("path", _without_query),
        "request_uri": ("path", _without_query),
        "status": ("status", _as_is),
        "request_length": ("bytes_in", _as_is),
        "bytes_sent": ("bytes_out", _as_is),
        "body_bytes_sent": ("bytes_out", _as_is),
        "request_time": ("duration", _as_is),
        "upstream_header_time": ("ttfb", _last),
        "ssl_protocol": ("tls", _or_plaintext),
        "ssl_alpn_protocol": ("alpn", _as_is),
        "ssl_server_name": ("sni", _as_is),
        "http_user_agent": ("user_agent", _as_is),
        "connection": ("connection", _as_is),
        "request_id": ("request_id", _as_is),
    }
)
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
_HEADER = re.compile(r"upstream_(?:http|trailer)_x_(?:excise_|llm_)?(\w+)")
#: raw credentials and names, in order of preference; only their keyed hash goes on
_CLAIMS = ("http_authorization", "http_x_api_key", "remote_user")
#: variables that are looked at together
_JOINT = frozenset(
    {
        *_CLAIMS,
        "request",
        "remote_addr",
        "realip_remote_addr",
        "http_x_forwarded_for",
        "remote_port",
        "realip_remote_port",
    }
)
_PLANS_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with lines of these keys: (key, field, read) by precedence."""

    rows: tuple[tuple[str, str, Read], ...]
    ignored: int


class NginxJsonDecoder:
    """Decodes format `nginx-json`."""

    name = "nginx-json"

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._proxies = TrustedProxies(context.trusted)
        self._addresses = Addresses()
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return decode_each(lines, self._decode_line)

    def _decode_line(self, line: bytes) -> tuple[Record, int]:
        seen = parse_object(line)
        plan = self._plan_for(tuple(seen))
        raw: dict[str, object] = {}
        for name, field, read in plan.rows:
            if field not in raw and known(value := read(seen[name])):
                raw[field] = value
        self._add_origin(seen, raw)
        self._add_account(seen, raw)
        if "method" not in raw and "path" not in raw:
            raw["method"], raw["path"] = split_request(_text(seen, "request"))
        record, ignored = build(raw, self._addresses)
        return record, plan.ignored + ignored

    def _plan_for(self, names: tuple[str, ...]) -> _Plan:
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[names] = _make_plan(names)
        return plan

    def _add_origin(self, seen: Mapping[str, object], raw: dict[str, object]) -> None:
        """Add client, peer and client port: nginx's realip module first, then our own walk."""
        remote = self._address(seen, "remote_addr", "client")
        socket_peer = self._address(seen, "realip_remote_addr", "peer") or remote
        port = _text(seen, "remote_port")
        if "client" not in raw and remote:
            raw["client"], _ = self._proxies.walk(remote, _text(seen, "http_x_forwarded_for"))
            if raw["client"] == socket_peer:
                port = port or _text(seen, "realip_remote_port")
            elif raw["client"] != remote:
                port = ""
            raw.setdefault("client_port", port)
        if socket_peer:
            raw.setdefault("peer", socket_peer)

    def _address(self, seen: Mapping[str, object], name: str, field: str) -> str:
        text = _text(seen, name)
        address = self._addresses.canonical(text)
        if text and not address:
            raise LineRejectedError(f"address:{field}")
        return address

    def _add_account(self, seen: Mapping[str, object], raw: dict[str, object]) -> None:
        if "account" in raw:
            return
        claim = next(filter(None, (_text(seen, name) for name in _CLAIMS)), "")
        raw["account"] = self._context.account(claim, str(raw.get("status")))


def _text(seen: Mapping[str, object], name: str) -> str:
    value = seen.get(name)
    if not known(value):
        return ""
    return value if isinstance(value, str) else str(value)


def _make_plan(names: Sequence[str]) -> _Plan:
    own = [(name, name, _as_is) for name in names if name in FIELDS]
    variables = [(name, *_VARIABLES[name]) for name in _VARIABLES if name in names]
    headers = [
        (name, _HEADERS[found[1]], _last)
        for name in names
        if (found := _HEADER.fullmatch(name)) and found[1] in _HEADERS
    ]
    rows: list[tuple[str, str, Read]] = []
    for row in (*own, *variables, *headers):
        if not any(row[0] == name for name, _, _ in rows):
            rows.append(row)
    used = {name for name, _, _ in rows} | _JOINT
    return _Plan(tuple(rows), sum(name not in used for name in names))
