"""A callback for LiteLLM's proxy that writes a record per request.

`gateways/litellm/excise_callback.py` hands it to LiteLLM. It takes LiteLLM's standard logging
payload and, where LiteLLM has not redacted them, the messages, of which hashes alone are kept
(docs/gateways-litellm.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from excise.gateways.asked import hashes, parameters
from excise.gateways.client import UNKNOWN_PEER, origin, parse_address, trusts
from excise.gateways.fields import MOST, Fields, encode
from excise.gateways.guard import Complaints, harmless
from excise.gateways.keyed import Keyed
from excise.gateways.settings import TapSettings
from excise.gateways.usage import counts
from excise.gateways.writer import Writer, make_writer
from excise.model.record import short_name

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError:  # LiteLLM calls only what descends from its class; tests can do without
    CustomLogger = object

REDACTED = "redacted-by-litellm"
FAILED = 500
_AGENT = "User-Agent: "
_OWNERS = ("user_api_key_hash", "user_api_key_user_id")
_ORGS = ("user_api_key_team_id", "user_api_key_org_id")


class Callback(CustomLogger):  # type: ignore[misc] # untyped where LiteLLM is not installed
    """Writes a record for each request that LiteLLM tells of. Raises nothing of its own."""

    def __init__(
        self, settings: TapSettings | None = None, complaints: Complaints | None = None
    ) -> None:
        super().__init__()
        self._complaints = complaints or Complaints()
        self._writer = make_writer(settings, self._complaints)

    def log_success_event(self, kwargs: Any, response_obj: Any, start: Any, end: Any) -> None:  # noqa: ANN401, ARG002 - LiteLLM's signature
        """Take a request that was answered."""
        harmless(self._complaints, None, self._put, kwargs)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start: Any, end: Any) -> None:  # noqa: ANN401, ARG002 - LiteLLM's signature
        """Take a request that failed."""
        harmless(self._complaints, None, self._put, kwargs)

    async def async_log_success_event(
        self,
        kwargs: Any,  # noqa: ANN401 - LiteLLM's signature
        response_obj: Any,  # noqa: ANN401, ARG002 - LiteLLM's signature
        start_time: Any,  # noqa: ANN401, ARG002 - LiteLLM's signature
        end_time: Any,  # noqa: ANN401, ARG002 - LiteLLM's signature
    ) -> None:
        """Take a request that was answered."""
        harmless(self._complaints, None, self._put, kwargs)

    async def async_log_failure_event(
        self,
        kwargs: Any,  # noqa: ANN401 - LiteLLM's signature
        response_obj: Any,  # noqa: ANN401, ARG002 - LiteLLM's signature
        start_time: Any,  # noqa: ANN401, ARG002 - LiteLLM's signature
        end_time: Any,  # noqa: ANN401, ARG002 - LiteLLM's signature
    ) -> None:
        """Take a request that failed."""
        harmless(self._complaints, None, self._put, kwargs)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        if self._writer is not None:
            self._writer.courier.close()

    def _put(self, kwargs: Mapping[str, Any]) -> None:
        if self._writer is None:
            return
        payload = kwargs.get("standard_logging_object")
        if not isinstance(payload, Mapping):
            self._complaints.add("LiteLLM gave no standard logging payload")
            return
        said = kwargs.get("messages")
        writer, now = self._writer, time.time()
        writer.courier.put(lambda: self._line(payload, said, writer, now))

    def _line(
        self, payload: Mapping[str, Any], said: object, writer: Writer, now: float
    ) -> bytes | None:
        fields = record_fields(payload, said, writer.keyed, writer.settings, now)
        if not fields.get("client"):
            self._complaints.add(
                "a request without a client's address is not recorded;"
                " see use_x_forwarded_for in docs/gateways-litellm.md"
            )
            return None
        return encode(fields)


def record_fields(
    payload: Mapping[str, Any],
    said: object,
    keyed: Keyed | None,
    settings: TapSettings,
    now: float,
) -> Fields:
    """Return the record of a standard logging payload; `said` are the messages, if any."""
    told = payload.get("metadata") or {}
    begin, first, end = (
        seconds(payload.get(n)) for n in ("startTime", "completionStartTime", "endTime")
    )
    streamed = payload.get("stream")
    fields: Fields = {
        "ts": end or now,
        **whereabouts(payload, told, settings),
        "account": keyed.account(first_text(told, _OWNERS)) if keyed else "",
        "org": first_text(told, _ORGS),
        "path": first_text(told, ("user_api_key_request_route",)),
        "status": status(payload),
        "model": first_text(payload, ("model", "model_group")),
        "request_id": first_text(payload, ("id",)),
        "duration": end - begin if begin and end >= begin else None,
        "ttfb": first - begin if begin and first >= begin else None,
        "user_agent": agent(payload.get("request_tags")),
        **{
            k: v
            for k, v in parameters(payload.get("model_parameters") or {}).items()
            if k != "model"
        },
        **counts(payload),
        **counts(told.get("usage_object") or {}),
    }
    if isinstance(streamed, bool):
        fields["stream"] = streamed
    if keyed is not None and isinstance(said, list) and not redacted(said):
        fields |= hashes(said, keyed)
    return fields


def whereabouts(
    payload: Mapping[str, Any], told: Mapping[str, Any], settings: TapSettings
) -> Fields:
    """Return client and peer.

    With `use_x_forwarded_for` LiteLLM gives the header as it came, of which only the hops that
    believed proxies have added count. Who is nearest to LiteLLM is then not told.
    """
    seen = first_text(payload, ("requester_ip_address",)) or first_text(
        told, ("requester_ip_address",)
    )
    if "," not in seen:
        address = parse_address(seen)
        believed = address is not None and trusts(address, settings)
        return {"client": str(address or ""), "peer": UNKNOWN_PEER if believed else ""}
    came = origin(None, {"x-forwarded-for": seen}, settings)
    return {"client": came.client, "peer": came.peer or UNKNOWN_PEER}


def status(payload: Mapping[str, Any]) -> int | None:
    """Return the HTTP status: that of the error, or 200."""
    error = payload.get("error_information") or {}
    code = str(error.get("error_code") or "")
    if code.isascii() and code.isdecimal() and len(code) == 3:
        return int(code)
    return {"success": 200, "failure": FAILED}.get(str(payload.get("status")))


def seconds(value: object) -> float:
    """Return epoch seconds of a number or a datetime, 0.0 where it is neither."""
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if type(value) in (int, float) and 0 <= value < MOST else 0.0  # type: ignore[arg-type, operator]


def first_text(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of some values that is text and not empty."""
    found = (values.get(name) for name in names)
    return next((short_name(value) for value in found if isinstance(value, str) and value), "")


def agent(tags: object) -> str:
    """Return the user agent, which LiteLLM puts among the tags of a request; the longest."""
    texts = [t for t in tags if isinstance(t, str)] if isinstance(tags, list) else []
    agents = [tag.removeprefix(_AGENT) for tag in texts if tag.startswith(_AGENT)]
    return short_name(max(agents, key=len, default=""))


def redacted(said: list[object]) -> bool:
    """Whether LiteLLM has put its mark in the place of what was said."""
    return any(isinstance(m, dict) and m.get("content") == REDACTED for m in said)
