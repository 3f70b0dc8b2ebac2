"""What a request asked for: parameters and prompt hashes of an OpenAI-shaped body, no text."""

from __future__ import annotations

import json

import msgspec

from excise.gateways.fields import MOST, Fields
from excise.gateways.keyed import Keyed
from excise.model.record import MAX_NAME

_NUMBERS = ("n", "temperature")


def asked(body: bytes, keyed: Keyed | None) -> Fields:
    """Return fields of the record that a body tells; nothing of what is no JSON object."""
    value = _parsed(body)
    return asked_of(value, keyed) if isinstance(value, dict) else {}


def _parsed(body: bytes) -> object:
    """Return a body's JSON, None where it is none.

    Servers that parse with Python's own module take halves of surrogate pairs and NaN; a client
    must not be able to hide its request from us alone by such means.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value: object = json.loads(body.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return value


def asked_of(body: dict[str, object], keyed: Keyed | None) -> Fields:
    """Return the same of a body that is parsed already."""
    fields = parameters(body)
    if keyed is not None:
        fields |= hashes(messages(body), keyed)
    return fields


def parameters(body: dict[str, object]) -> Fields:
    """Return the request parameters that are there and make sense."""
    fields: Fields = {name: body[name] for name in _NUMBERS if _number(body.get(name))}
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    if _number(most or body.get("max_output_tokens")):
        fields["max_tokens"] = most or body.get("max_output_tokens")
    model, stream = body.get("model"), body.get("stream")
    if isinstance(model, str):
        fields["model"] = model[:MAX_NAME].encode(errors="replace").decode()
    if isinstance(stream, bool):
        fields["stream"] = stream
    logprobs = body.get("logprobs")
    if _number(logprobs):
        fields["logprobs"] = logprobs
    elif logprobs is True:
        top = body.get("top_logprobs")
        fields["logprobs"] = top if _number(top) and top else 1
    bias = body.get("logit_bias")
    if isinstance(bias, dict):
        fields["logit_bias"] = len(bias)
    return fields


def hashes(said: list[object], keyed: Keyed) -> Fields:
    """Return the prompt's hash chain, and the SimHash of the last user message."""
    if not said:
        return {}
    fields: Fields = {"prompt": keyed.chain(said)}
    last = last_user_text(said)
    if last and (simhash := keyed.simhash(last)):
        fields["simhash"] = simhash
    return fields


def messages(body: dict[str, object]) -> list[object]:
    """Return the messages of a body, the system's first.

    Chat completions, responses, messages with a separate system prompt, plain completions. A
    prompt of token ids is one message.
    """
    said = body.get("messages") or body.get("input") or body.get("prompt")
    system = body.get("system") or body.get("instructions")
    first = [system] if system else []
    if isinstance(said, list) and not (said and isinstance(said[0], int)):
        return first + said
    return first + ([said] if said else [])


def last_user_text(said: list[object]) -> str:
    """Return the text of the last message that a user wrote; `""` where there is none."""
    for message in reversed(said):
        if isinstance(message, str):
            return message
        if isinstance(message, dict) and message.get("role", "user") == "user":
            return _text(message.get("content"))
    return ""


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= MOST  # type: ignore[operator]
