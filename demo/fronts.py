"""What may stand in front of the demo's model: a gateway to start, and how the model is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from demo import caddy, gateway, haproxy
from demo.world import World


def _plain(_: World) -> list[str]:
    return []


@dataclass(frozen=True)
class Front:
    """A gateway by its name for people.

    `start` starts it; `before` comes before the model's command; `model` is the model's module.
    """

    title: str
    start: Callable[[World], None]
    model: str = "demo.stub"
    before: Callable[[World], list[str]] = _plain


FRONTS: Mapping[str, Front] = MappingProxyType(
    {
        "nginx": Front("nginx and TLS", gateway.start),
        "haproxy": Front("HAProxy and TLS", haproxy.start),
        "caddy": Front(
            "Caddy and TLS, the model carrying the tap",
            caddy.start,
            model="demo.tapped",
            before=caddy.tap_environment,
        ),
    }
)
