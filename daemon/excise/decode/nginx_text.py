r"""nginx's `log_format` strings: the stock `combined` and `main`, and any that is configured.

nginx writes quotes, backslashes and bytes that are not printable ASCII as `\xHH` (`escape=default`)
or as JSON does (`escape=json`), so what stands inside quotes cannot leave them. Outside quotes
nothing keeps a client's blanks from looking like the end of a column: a format with two such
values between two quotes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from excise.decode.base import DecodeContext, Decoder
from excise.decode.jsonformat import JsonDecoder
from excise.decode.nginx_directive import VARIABLE, json_shape, read_directive
from excise.decode.nginx_variables import NginxVariables
from excise.decode.pattern import FREE, QUOTED, WORD, Part, Pattern, Var, compile_pattern, quoted
from excise.decode.slots import REMOTE, Slot
from excise.decode.textformat import TextDecoder
from excise.errors import FormatError

NAME = "nginx"
COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)
MAIN = COMBINED + ' "$http_x_forwarded_for"'
#: times and sizes of the upstreams tried: "0.1, 0.2 : 0.3"
_LIST = r"(?:-|[0-9.]+)(?:(?:, | : )(?:-|[0-9.]+))*"
_TIME = r'[^\]" ]* [^\]" ]*'
_TIMES = frozenset({"time_local"})
_INNER_WORD = r'[^"\\ ]*'
#: variables without quotes of which nginx itself makes the value, without blanks
_WORDS = re.compile(
    r"remote_addr|remote_port|realip_remote_(?:addr|port)|proxy_protocol_(?:addr|port)|binary_.*"
    r"|msec|time_iso8601|status|bytes_sent|body_bytes_sent|request_length|request_time|request_id"
    r"|request_method|request_completion|connection|connection_requests|connection_time|pid|pipe"
    r"|scheme|host|hostname|https|http2|http3|server_addr|server_name|server_port|server_protocol"
    r"|ssl_(?:protocol|cipher|server_name|alpn_protocol|session_reused|session_id|curve|curves"
    r"|ciphers|client_verify|client_serial|client_fingerprint)"
    r"|gzip_ratio|limit_rate|limit_conn_status|limit_req_status|nginx_version|geoip_country_code"
    r"|upstream_cache_status|http_ssl_ja4|content_length|tcpinfo_\w+"
)
_LISTS = re.compile(
    r"upstream_(?:connect_time|header_time|response_time|response_length|bytes_received"
    r"|bytes_sent|first_byte_time|status)"
)


def make(context: DecodeContext) -> TextDecoder:
    """Return a decoder of nginx's stock formats."""
    return TextDecoder(NAME, [compile_format(t, context) for t in (COMBINED, MAIN)], context)


def make_configured(text: str, context: DecodeContext) -> Decoder:
    """Return a decoder of a `log_format` string, or of the whole directive as nginx has it.

    One that writes JSON is read as JSON. Raises FormatError.
    """
    template = read_directive(text)
    if template.lstrip().startswith("{"):
        return JsonDecoder(NAME, json_shape(template, NginxVariables(context)), context)
    return TextDecoder(NAME, [compile_format(template, context)], context)


def compile_format(template: str, context: DecodeContext) -> Pattern:
    """Return the pattern of a `log_format` string.

    Raises FormatError where a client could shift its columns, or where it says nothing of use.
    """
    variables = NginxVariables(context)
    pieces = VARIABLE.split(template)[::3]
    names = [found[1] or found[2] for found in VARIABLE.finditer(template)]
    if template.count('"') % 2:
        raise FormatError("log_format has a quote that is never closed")
    stretches = _stretches(pieces, names)
    parts: list[Part] = [pieces[0]]
    for i, (name, piece) in enumerate(zip(names, pieces[1:], strict=True)):
        inside, together = stretches[i]
        _refuse_shifting(name, together, pieces[i + 1] if i + 1 < len(names) else " ")
        parts += [_var(name, variables.slot(name), inside=inside, alone=len(together) == 1), piece]
    slots_filled = {part.slot.name for part in parts if isinstance(part, Var) and part.slot}
    for needed, hint in (("ts", "$time_iso8601 or $msec"), (REMOTE, "$remote_addr")):
        if needed not in slots_filled:
            raise FormatError(f"log_format has no {hint}: a line of it is no record")
    return compile_pattern(parts)


def _stretches(pieces: Sequence[str], names: Sequence[str]) -> list[tuple[bool, list[str]]]:
    """Return for each variable whether it is inside quotes, and those between the same quotes."""
    inside = False
    together: list[str] = []
    found: list[tuple[bool, list[str]]] = []
    for piece, name in zip(pieces, names, strict=False):
        if '"' in piece:
            inside ^= piece.count('"') % 2 == 1
            together = []
        together.append(name)
        found.append((inside, together))
    return found


def _refuse_shifting(name: str, together: Sequence[str], after: str) -> None:
    """Raise FormatError where a value could be taken for the next column."""
    free = [n for n in together if not (_WORDS.fullmatch(n) or _LISTS.fullmatch(n) or n in _TIMES)]
    if len(free) > 1:
        both = " and ".join(f"${n}" for n in free[:2])
        raise FormatError(
            f"a client could shift the columns of log_format: {both} may hold blanks",
            hint=f'put quotes around each, as in "${free[1]}"',
        )
    if not after:
        raise FormatError(f"log_format has nothing between ${name} and the next variable")


def _var(name: str, slot: Slot | None, *, inside: bool, alone: bool) -> Var:
    if inside and alone:
        return quoted(slot)
    if name in _TIMES:
        return Var(slot, _TIME, words=2)
    if _LISTS.fullmatch(name):
        return Var(slot, _LIST)
    if _WORDS.fullmatch(name):
        return Var(slot, _INNER_WORD if inside else WORD)
    return Var(slot, QUOTED if inside else FREE)
