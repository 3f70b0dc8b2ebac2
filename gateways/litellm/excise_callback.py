"""Beside LiteLLM's config.yaml, which names it: `callbacks: [excise_callback.callback]`."""

from excise.gateways.litellm import Callback

callback = Callback()
