"""Format `envoy-json`: Envoy's access log in JSON, as Envoy Gateway and Istio write it."""

from __future__ import annotations

from excise.decode.base import DecodeContext
from excise.decode.envoy_keys import NEEDS, UNNEEDED, envoy_rows
from excise.decode.jsonformat import JsonDecoder
from excise.decode.shape import Shape

NAME = "envoy-json"


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    return JsonDecoder(NAME, Shape(envoy_rows(context), NEEDS, UNNEEDED), context)
