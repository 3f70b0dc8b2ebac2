"""Format `litellm`: LiteLLM's standard logging payload, one JSON object per line.

`requester_ip_address` is the peer, or the whole X-Forwarded-For where LiteLLM is told to use it:
of a list the proxies that are trusted are passed over from the right. The hash of a key that
LiteLLM logs is hashed once more with this host's key, so that what excise keeps opens nothing.
Prompts and answers, if they are logged at all, are not looked at.
"""

from __future__ import annotations

from excise.decode import slots
from excise.decode.base import DecodeContext, LineRejectedError
from excise.decode.fields import known
from excise.decode.jsonformat import JsonDecoder
from excise.decode.shape import Row, Shape, find
from excise.decode.slots import Read
from excise.decode.times import Times

NAME = "litellm"
_NEEDS = frozenset({"startTime", "prompt_tokens", "completion_tokens"})
_AGENT = "User-Agent: "
_USAGE = ("metadata", "usage_object")
_ASKED = ("max_tokens", "max_completion_tokens", "n", "temperature")


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    details = {
        "cached_tokens": ("prompt_tokens_details", "cached_tokens"),
        "reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
    }
    rows = (
        Row(("endTime",), "ts", times.iso),
        Row((), "duration", lambda seen: _between(seen, "startTime", "endTime", times.iso)),
        Row(
            (),
            "ttfb",
            lambda seen: _between(seen, "startTime", "completionStartTime", times.iso),
        ),
        Row(("requester_ip_address",), slots.REMOTE, _alone),
        Row(("metadata", "requester_ip_address"), slots.REMOTE, _alone),
        Row(("requester_ip_address",), slots.FORWARDED_FOR, _chain),
        Row(("metadata", "requester_ip_address"), slots.FORWARDED_FOR, _chain),
        Row((), slots.BEHIND, _behind),
        Row(("metadata", "user_api_key_hash"), slots.CLAIM),
        Row(("metadata", "user_api_key_user_id"), slots.CLAIM),
        Row(("metadata", "user_api_key_team_id"), "org"),
        Row(("metadata", "user_api_key_org_id"), "org"),
        Row(("metadata", "user_api_key_request_route"), "path"),
        Row((), "status", _status),
        Row(("model",), "model"),
        Row(("id",), "request_id"),
        Row(("prompt_tokens",), "input_tokens"),
        Row(("completion_tokens",), "output_tokens"),
        *(Row((*_USAGE, *path), field) for field, path in details.items()),
        Row(("user_agent",), "user_agent"),
        Row(("request_tags",), "user_agent", _agent),
        Row(("stream",), "stream"),
        *(Row(("model_parameters", name), _field(name)) for name in _ASKED),
        Row(("model_parameters", "top_logprobs"), "logprobs"),
        Row(("model_parameters", "logit_bias"), "logit_bias", _size),
    )
    return JsonDecoder(NAME, Shape(rows, _NEEDS), context)


def _field(name: str) -> str:
    return "max_tokens" if name == "max_completion_tokens" else name


def _alone(value: object) -> object:
    """Return an address, nothing of a list of hops."""
    return None if isinstance(value, str) and "," in value else value


def _chain(value: object) -> object:
    return value if isinstance(value, str) and "," in value else None


def _behind(seen: object) -> object:
    """Return True where the address is a list of hops: who stands between is not told."""
    told = find(seen, ("requester_ip_address",)) or find(seen, ("metadata", "requester_ip_address"))
    return True if _chain(told) else None


def _status(seen: object) -> object:
    """Return the HTTP status: that of the error, or 200."""
    code = find(seen, ("error_information", "error_code"))
    if isinstance(code, str) and code.isascii() and code.isdecimal():
        return code
    return {"success": 200, "failure": 500}.get(str(find(seen, ("status",))))


def _between(seen: object, begin: str, end: str, read: Read) -> object:
    """Return the seconds between two moments, where both are known and in order."""
    moments = [find(seen, (name,)) for name in (begin, end)]
    if not all(map(known, moments)):
        return None
    try:
        first, last = map(read, moments)
    except LineRejectedError:
        return None
    if not isinstance(first, float) or not isinstance(last, float) or last < first:
        return None
    return last - first


def _agent(value: object) -> object:
    """Return the user agent, which LiteLLM puts among the tags of a request; the longest."""
    if not isinstance(value, list):
        return None
    agents = [t[len(_AGENT) :] for t in value if isinstance(t, str) and t.startswith(_AGENT)]
    return max(agents, key=len, default=None)


def _size(value: object) -> object:
    return len(value) if isinstance(value, dict) else value
