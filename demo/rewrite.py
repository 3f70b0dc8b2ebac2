"""Shipped configurations, made to fit a directory of their own."""

from __future__ import annotations

from collections.abc import Mapping

from demo.world import WorldError


def rewrite(text: str, exchanges: Mapping[str, str]) -> str:
    """Return a text with parts exchanged. Raises WorldError if one is not there any more."""
    for shipped, here in exchanges.items():
        if shipped not in text:
            raise WorldError(f"the shipped configuration does not say {shipped!r}")
        text = text.replace(shipped, here)
    return text
