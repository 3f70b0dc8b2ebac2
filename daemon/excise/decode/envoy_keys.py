"""Envoy's access log in JSON: the keys under which people log its operators.

Those of Envoy Gateway and of Envoy AI Gateway's examples, of Istio, and a few of our own for what
neither logs. Envoy writes the begin of a request and its duration in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.readers import milliseconds, tls_version
from excise.decode.shape import Row, slot_rows
from excise.decode.slots import Slot
from excise.decode.times import Times

NEEDS = frozenset({"start_time", "response_code"})
#: keys of the default formats that say nothing about a client
UNNEEDED = frozenset(
    {
        ":authority",
        "authority",
        "connection_termination_details",
        "downstream_local_address",
        "protocol",
        "response_code_details",
        "response_flags",
        "route_name",
        "upstream_cluster",
        "upstream_cluster_raw",
        "upstream_host",
        "upstream_local_address",
        "upstream_service_time",
        "upstream_transport_failure_reason",
        "x-envoy-upstream-service-time",
    }
)
_KEYS: Mapping[str, Slot] = {
    "downstream_remote_address": Slot(slots.REMOTE),
    "downstream_direct_remote_address": Slot(slots.SOCKET),
    "x-forwarded-for": Slot(slots.FORWARDED_FOR),
    "x_forwarded_for": Slot(slots.FORWARDED_FOR),
    "forwarded": Slot(slots.FORWARDED),
    "authorization": Slot(slots.CLAIM),
    "x-api-key": Slot(slots.CLAIM),
    "account": Slot("account"),
    "method": Slot("method"),
    "x-envoy-origin-path": Slot("path"),
    "x-envoy-original-path": Slot("path"),
    "path": Slot("path"),
    "response_code": Slot("status"),
    "bytes_received": Slot("bytes_in"),
    "bytes_sent": Slot("bytes_out"),
    "duration": Slot("duration", milliseconds),
    "response_duration": Slot("ttfb", milliseconds),
    "requested_server_name": Slot("sni"),
    "downstream_tls_version": Slot("tls", tls_version),
    "tls_ja4_fingerprint": Slot("ja4"),
    "connection_id": Slot("connection"),
    "user-agent": Slot("user_agent"),
    "user_agent": Slot("user_agent"),
    "x-request-id": Slot("request_id"),
    "request_id": Slot("request_id"),
    "model": Slot("model"),
    "input_tokens": Slot("input_tokens"),
    "output_tokens": Slot("output_tokens"),
}


def envoy_rows(context: DecodeContext) -> tuple[Row, ...]:
    """Return the rows that every JSON format of Envoy shares."""
    times = Times(context.zone)
    return (*slot_rows(_KEYS), Row(("start_time",), slots.START, times.iso))
