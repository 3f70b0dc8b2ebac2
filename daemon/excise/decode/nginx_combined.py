r"""Format `nginx`: the stock access log format `combined`.

`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent
"$http_referer" "$http_user_agent"`, and after that at most one more quoted value, which is taken
for X-Forwarded-For as in the packaged format `main`. nginx writes quotes, backslashes and bytes
that are not printable ASCII as `\xHH` (ngx_http_log_module, `escape=default`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from excise.decode.address import canonical
from excise.decode.base import CONTROL, DecodeContext, LineRejectedError, decode_each
from excise.decode.fields import within_times
from excise.decode.request import split_request
from excise.decode.trust import TrustedProxies
from excise.model.record import Decoded, Record, short_name

_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
#: address, user, time, request, status, size, referer, agent, forwarded
_LINE = re.compile(
    r'(\S+) - ([^"]*?) \[([^\]"]{26})\] '
    + _QUOTED
    + r" ([0-9]{3}) ([0-9]{1,15}|-) "
    + _QUOTED
    + " "
    + _QUOTED
    + rf"(?: {_QUOTED})?\s*"
)
_TIME_FORMAT = "%d/%b/%Y:%H:%M:%S %z"
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')
_TIMES_KEPT = 4096


class NginxCombinedDecoder:
    """Decodes format `nginx`."""

    name = "nginx"

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._proxies = TrustedProxies(context.trusted)
        self._times: dict[str, float] = {}

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return decode_each(lines, self._decode_line)

    def _decode_line(self, line: bytes) -> tuple[Record, int]:
        found = _LINE.fullmatch(_as_text(line))
        if found is None:
            raise LineRejectedError("shape")
        address, user, time, request, status, size, _, agent, forwarded = found.groups("")
        remote = canonical(address)
        if not remote:
            raise LineRejectedError("address:client")
        client, peer = self._proxies.walk(remote, forwarded)
        method, path = split_request(_unescape(request))
        record = Record(
            ts=self._timestamp(time),
            client=client,
            peer=peer,
            account=self._context.account("" if user == "-" else _unescape(user), status),
            method=method,
            path=path,
            status=int(status),
            bytes_out=-1 if size == "-" else int(size),
            user_agent="" if agent == "-" else short_name(_unescape(agent)),
        )
        return record, 0

    def _timestamp(self, text: str) -> float:
        known = self._times.get(text)
        if known is None:
            if len(self._times) >= _TIMES_KEPT:
                self._times.clear()
            try:
                parsed = datetime.strptime(text, _TIME_FORMAT)
            except ValueError:
                raise LineRejectedError("type:ts") from None
            known = within_times(parsed.timestamp())
            self._times[text] = known
        return known


def _as_text(line: bytes) -> str:
    text = line.decode(errors="replace")
    if not text.isprintable() and line.translate(None, CONTROL) != line:
        raise LineRejectedError("binary")
    return text


def _unescape(text: str) -> str:
    r"""Undo `\xHH`, `\"` and `\\`; what is then no UTF-8 shows as replacement characters."""
    if "\\" not in text:
        return text
    raw = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], text.encode())
    return raw.decode(errors="replace")
