"""What a target names: a network, or an account. Shared by the API and the command line."""

from __future__ import annotations

import ipaddress

from excise.errors import InvalidError
from excise.model.decision import Action
from excise.model.record import short_name


def parse_network(text: str) -> str | None:
    """Return the canonical CIDR of an address or network, None for any other text.

    `203.0.113.7` is `203.0.113.7/32`; host bits are cleared; `::ffff:203.0.113.7` is the v4 one.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        return f"{mapped}/{network.prefixlen - 96}"
    return str(network)


def require_network(text: str) -> str:
    """Return the canonical CIDR. Raises InvalidError for what is no address and no network."""
    network = parse_network(text)
    if network is None:
        raise InvalidError(f"{text!r} is not an address or CIDR")
    return network


def canonical_target(text: str) -> str:
    """Return the canonical CIDR of a network; an account id as it is kept."""
    return parse_network(text) or short_name(text)


def check_action(target: str, action: Action) -> None:
    """Raise InvalidError where `action` does not exist on the target's plane."""
    network = parse_network(target) is not None
    if network and action is Action.DENY:
        raise InvalidError(f"{target} is a network", hint="deny is for accounts; use drop")
    if not network and action is Action.DROP:
        raise InvalidError(f"{target!r} is an account", hint="drop is for networks; use deny")
