"""Format `otel`: OpenTelemetry GenAI, as the Collector's file exporter writes it in JSON.

A line is a whole export: each span or log record in it that tells of a call to a model becomes a
record, and each that does not a reject `not-a-request`. Attributes are those of the semantic
conventions, old names too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from excise.decode import slots
from excise.decode.assemble import Assembler
from excise.decode.base import MAX_LINE_BYTES, DecodeContext, LineRejectedError, blank, reject
from excise.decode.jsonline import parse_object
from excise.decode.readers import joined, tls_version
from excise.decode.shape import NOT_A_REQUEST
from excise.decode.slots import Slot
from excise.model.record import Decoded, Record, Reject

NAME = "otel"
#: where the parts of an export lie: resource, scope, item
_NESTS = (
    ("resourceSpans", "scopeSpans", "spans"),
    ("resourceLogs", "scopeLogs", "logRecords"),
)
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")
#: attribute to slot; of several that fill one, the first that is there wins
_ATTRIBUTES: Mapping[str, Slot] = MappingProxyType(
    {
        "network.peer.address": Slot(slots.REMOTE),
        "net.sock.peer.addr": Slot(slots.REMOTE),
        "network.peer.port": Slot(slots.REMOTE_PORT),
        "client.address": Slot(slots.FORWARDED_FOR),
        "http.client_ip": Slot(slots.FORWARDED_FOR),
        "http.request.header.x-forwarded-for": Slot(slots.FORWARDED_FOR, joined),
        "excise.account": Slot("account"),
        "enduser.id": Slot(slots.CLAIM),
        "user.id": Slot(slots.CLAIM),
        "enduser.pseudo.id": Slot(slots.CLAIM),
        "http.request.method": Slot("method"),
        "http.method": Slot("method"),
        "url.path": Slot("path"),
        "http.target": Slot("path"),
        "http.response.status_code": Slot("status"),
        "http.status_code": Slot("status"),
        "http.request.body.size": Slot("bytes_in"),
        "http.response.body.size": Slot("bytes_out"),
        "user_agent.original": Slot("user_agent"),
        "http.user_agent": Slot("user_agent"),
        "tls.protocol.version": Slot("tls", tls_version),
        "tls.client.ja4": Slot("ja4"),
        "gen_ai.response.model": Slot("model"),
        "gen_ai.request.model": Slot("model"),
        "gen_ai.usage.input_tokens": Slot("input_tokens"),
        "gen_ai.usage.prompt_tokens": Slot("input_tokens"),
        "gen_ai.usage.output_tokens": Slot("output_tokens"),
        "gen_ai.usage.completion_tokens": Slot("output_tokens"),
        "gen_ai.usage.reasoning.output_tokens": Slot("reasoning_tokens"),
        "gen_ai.usage.cache_read.input_tokens": Slot("cached_tokens"),
        "gen_ai.request.max_tokens": Slot("max_tokens"),
        "gen_ai.request.choice.count": Slot("n"),
        "gen_ai.request.temperature": Slot("temperature"),
        "gen_ai.request.stream": Slot("stream"),
        "gen_ai.response.time_to_first_chunk": Slot("ttfb"),
        "gen_ai.server.time_to_first_token": Slot("ttfb"),
    }
)
_NANO = 1e-9
#: a span or log record, and the attributes of its resource
Item = tuple[dict[str, object], dict[str, object]]


def make(context: DecodeContext) -> OtelDecoder:
    """Return a decoder of this format."""
    return OtelDecoder(context)


class OtelDecoder:
    """Decodes format `otel`: as many records from a line as it has model calls."""

    name = NAME

    def __init__(self, context: DecodeContext) -> None:
        self._assembler = Assembler(context)

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        records: list[Record] = []
        rejects: list[Reject] = []
        for line in lines:
            if blank(line):
                continue
            try:
                items = _items(line)
            except LineRejectedError as error:
                rejects.append(reject(line, error.reason))
            else:
                self._decode_items(line, items, records, rejects)
        return Decoded(records, rejects)

    def _decode_items(
        self, line: bytes, items: Sequence[Item], records: list[Record], rejects: list[Reject]
    ) -> None:
        for item, shared in items:
            try:
                records.append(self._record(item, shared))
            except LineRejectedError as error:
                rejects.append(reject(line, error.reason))

    def _record(self, item: Mapping[str, object], shared: Mapping[str, object]) -> Record:
        told = _attributes(item)
        if not any(key.startswith("gen_ai.") for key in told):
            raise LineRejectedError(NOT_A_REQUEST)
        told = {**shared, **told}
        raw: dict[str, object] = {}
        for key, slot in _ATTRIBUTES.items():
            if key in told and slot.name not in raw:
                value = slot.read(told[key]) if slot.read else told[key]
                if value not in (None, "", "-"):
                    raw[slot.name] = value
        _settle_client(raw)
        raw |= _times(item)
        if isinstance(identity := item.get("spanId"), str):
            raw["request_id"] = identity
        record, _ = self._assembler.record(raw)
        return record


def _settle_client(raw: dict[str, object]) -> None:
    """Where no peer is told, the instrumentation's word about the client is all there is."""
    if slots.REMOTE not in raw and (client := raw.pop(slots.FORWARDED_FOR, None)) is not None:
        raw[slots.REMOTE] = client


def _times(item: Mapping[str, object]) -> dict[str, object]:
    """Return end and duration of a span, or the moment of a log record."""
    begin, end = _seconds(item, "startTimeUnixNano"), _seconds(item, "endTimeUnixNano")
    if end is None:
        moment = _seconds(item, "timeUnixNano") or _seconds(item, "observedTimeUnixNano")
        return {} if moment is None else {"ts": moment}
    return {"ts": end} if begin is None or begin > end else {"ts": end, "duration": end - begin}


def _seconds(item: Mapping[str, object], key: str) -> float | None:
    value = item.get(key)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if value is None or value in (0, ""):
        return None
    if type(value) is not int:
        raise LineRejectedError("type:ts")
    return min(value, 10**20) * _NANO


def _items(line: bytes) -> list[Item]:
    """Return spans and log records with their resource's. Raises LineRejectedError."""
    if len(line) > MAX_LINE_BYTES:
        raise LineRejectedError("too-long")
    export = parse_object(line)
    found = [
        (item, _attributes(resource.get("resource")))
        for top, middle, leaf in _NESTS
        for resource in _dicts(export.get(top))
        for scope in _dicts(resource.get(middle))
        for item in _dicts(scope.get(leaf))
    ]
    if not found:
        raise LineRejectedError(NOT_A_REQUEST)
    return found


def _dicts(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))


def _attributes(holder: object) -> dict[str, object]:
    """Return attributes by key. Raises LineRejectedError for one that is there twice."""
    told: dict[str, object] = {}
    for entry in _dicts(holder.get("attributes") if isinstance(holder, dict) else None):
        key, value = entry.get("key"), entry.get("value")
        if not isinstance(key, str):
            continue
        if key in told:
            raise LineRejectedError("duplicate-key")
        told[key] = _value(value)
    return told


def _value(value: object) -> object:
    """Return the plain value of an `AnyValue`, None of one that is none of ours."""
    if not isinstance(value, dict):
        return None
    if isinstance(array := value.get("arrayValue"), dict):
        return [_value(entry) for entry in _dicts(array.get("values"))]
    return next((value[kind] for kind in _VALUES if kind in value), None)
