"""Format `envoy-ai-gateway`: Envoy's access log with the usage that Envoy AI Gateway counted.

The keys `gen_ai.…` are those of the gateway's examples (envoyproxy/ai-gateway,
examples/access-log): which metadata is logged under them is the gateway's configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from excise.decode.base import DecodeContext
from excise.decode.envoy_keys import NEEDS, UNNEEDED, envoy_rows
from excise.decode.jsonformat import JsonDecoder
from excise.decode.shape import Shape, slot_rows
from excise.decode.slots import Slot

NAME = "envoy-ai-gateway"
_KEYS: Mapping[str, Slot] = {
    "gen_ai.response.model": Slot("model"),
    "gen_ai.request.model_override": Slot("model"),
    "gen_ai.request.model": Slot("model"),
    "gen_ai.usage.input_tokens": Slot("input_tokens"),
    "gen_ai.usage.output_tokens": Slot("output_tokens"),
    "gen_ai.usage.cached_input_tokens": Slot("cached_tokens"),
    "gen_ai.usage.cache_read.input_tokens": Slot("cached_tokens"),
    "gen_ai.usage.reasoning_tokens": Slot("reasoning_tokens"),
    "gen_ai.usage.reasoning.output_tokens": Slot("reasoning_tokens"),
    "gen_ai.server.time_to_first_token": Slot("ttfb"),
}
_UNNEEDED = frozenset(
    {
        "gen_ai.provider.name",
        "gen_ai.system",
        "gen_ai.usage.total_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "session.id",
    }
)


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    needs = NEEDS | {"gen_ai.request.model"}
    rows = (*slot_rows(_KEYS), *envoy_rows(context))
    return JsonDecoder(NAME, Shape(rows, needs, UNNEEDED | _UNNEEDED), context)
