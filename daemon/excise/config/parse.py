"""Plain data → Config. Every problem has its place, and all of them are found at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from excise.config.inputs import absolute_path, inputs, port_list
from excise.config.values import (
    ApiConfig,
    Backend,
    Config,
    LogConfig,
    LogFormat,
    LogLevel,
    NftConfig,
)
from excise.decode.trust import HEADERS, UNIX
from excise.errors import ConfigError, InvalidError
from excise.model.decision import Posture, Tier
from excise.model.document import Document, Fields, Node, each, in_order
from excise.model.portguard import NO_GUARD, PortGuard
from excise.model.record import short_name
from excise.model.scalars import (
    between,
    boolean,
    byte_rate,
    choice,
    duration,
    integer,
    network,
    number,
    one_of,
    per_minute,
    text,
)
from excise.model.settings import Capacity, Governor, Policy, Room, Tenant, Trials

KEYS = (
    "posture",
    "inputs",
    "trusted_proxies",
    "proxy_header",
    "confirm_peers",
    "never_block",
    "tenants",
    "trials",
    "rules",
    "ports",
    "enforcer",
    "tiers",
    "state",
    "api",
    "policy",
    "governor",
    "capacity",
    "kernel",
    "log",
    "protect_operator",
    "nft",
    "guard",
    "asn_table",
)
TIER_KEYS = ("egress", "ingress", "new_connections")
API_KEYS = ("socket", "listen")
LOG_KEYS = ("file", "level", "format")
NFT_KEYS = ("owner", "audit", "containers", "shaping")
GUARD_KEYS = ("ports", "allow")
#: what the host itself depends on is never shut
HOST_PORTS = {
    22: "SSH",
    53: "DNS",
    67: "DHCP",
    68: "DHCP",
    123: "NTP",
    546: "DHCPv6",
    547: "DHCPv6",
}
#: what names an interface (dev_valid_name in the kernel)
_INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:]{1,15}")
TRIALS_KEYS = ("enabled", "share", "duration")
TENANT_KEYS = ("account", "network", "output_tokens_per_day")
_LISTEN = 'like "127.0.0.1:7788"'
_TIER_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")

#: least and most of the numbers of policy, governor and capacity that are not simply from 0 on
LIMITS: dict[str, tuple[float, float]] = {
    "drop_families": (1, 8),
    "jitter": (0, 0.5),
    "campaign_families": (2, 8),
    "keep": (0, 1),
    "collateral_soften": (0, 1),
    "collateral_veto": (0, 1),
    "subnet_guilty": (0, 1),
    "max_share": (0, 1),
    "min_prefix_v4": (8, 32),
    "min_prefix_v6": (16, 64),
}
#: bytes/s that iptables' hashlimit keeps: its bucket holds a second's worth, so a packet longer
#: than that would pay for that alone; far above, its own rounding (2^32 / (rate / 16)) shows
HASHLIMIT = (2 << 10, 1 << 30)
HASHLIMIT_PER_MIN = 600_000
S = TypeVar("S", bound=msgspec.Struct)


def parse_config(document: Document, path: Path | None = None) -> tuple[Config, list[ConfigError]]:
    """Return what a document configures and everything that is wrong with it."""
    root = document.root()
    config = _config(Fields(root, KEYS), path)
    return config, [ConfigError(p.message, p.mark, p.hint) for p in in_order(root.problems)]


def _config(fields: Fields, path: Path | None) -> Config:
    blank = Config()
    ports = fields.get("ports", port_list, blank.ports)
    backend = fields.get("enforcer", choice(Backend), blank.enforcer)
    policy = fields.get("policy", _policy, blank.policy)
    return Config(
        posture=fields.get("posture", choice(Posture), blank.posture),
        inputs=fields.get("inputs", inputs, blank.inputs),
        trusted_proxies=fields.get("trusted_proxies", each(_proxy), ()),
        proxy_header=fields.get("proxy_header", one_of(HEADERS), blank.proxy_header),
        confirm_peers=fields.get("confirm_peers", boolean, blank.confirm_peers),
        never_block=fields.get("never_block", each(network), ()),
        tenants=fields.get("tenants", each(_tenant), ()),
        trials=fields.get("trials", partial(_trials, policy), blank.trials),
        rules=fields.get("rules", each(absolute_path), blank.rules),
        ports=ports,
        enforcer=backend,
        tiers=fields.get("tiers", partial(_tiers, backend), blank.tiers),
        state=fields.get("state", absolute_path, blank.state),
        api=fields.get("api", _api, blank.api),
        policy=policy,
        governor=fields.get("governor", _struct(Governor), blank.governor),
        capacity=fields.get("capacity", _struct(Capacity, least=1024), blank.capacity),
        kernel=fields.get("kernel", _struct(Room, least=16), blank.kernel),
        log=fields.get("log", _log, blank.log),
        protect_operator=fields.get("protect_operator", boolean, blank.protect_operator),
        nft=fields.get("nft", _nft, blank.nft),
        guard=fields.get("guard", _guard(ports, backend), blank.guard),
        asn_table=fields.get("asn_table", _optional_path, None),
        path=path,
    )


def _proxy(node: Node) -> str:
    """Read a network, or `unix:` for whoever connects through a unix socket."""
    return UNIX if node.value == UNIX else network(node)


def _optional_path(node: Node) -> Path | None:
    return None if node.value is None else absolute_path(node)


def _tiers(backend: Backend, node: Node) -> tuple[Tier, ...]:
    if not isinstance(node.value, dict) or not node.value:
        raise node.error("must be a mapping of at least one tier", "like slow: {egress: 50 KiB/s}")
    tiers = tuple(_tier(backend, name, node.child(name, v)) for name, v in node.value.items())
    for mild, strict in pairwise(tiers):
        if _milder(strict, mild):
            message = f"go from the mildest on, but {strict.name} allows more than {mild.name}"
            raise node.error(message, "swap them")
    return tiers


def _connections_of_iptables(node: Node) -> float:
    rate = per_minute(node)
    if rate > HASHLIMIT_PER_MIN:
        raise node.error(f"of {rate:g}/min cannot be kept by iptables", "at most 10000/s")
    return rate


def _bytes_of_iptables(node: Node) -> int:
    rate = byte_rate(node)
    least, most = HASHLIMIT
    if not least <= rate <= most:
        hint = f"from {least >> 10} KiB/s to {most >> 30} GiB/s, or use enforcer: nftables"
        raise node.error(f"of {rate} B/s cannot be kept by iptables", hint)
    return rate


def _tier(backend: Backend, name: str, node: Node) -> Tier:
    fields = Fields(node, TIER_KEYS)
    if not _TIER_NAME.fullmatch(name):
        hint = "lower case letters, digits and -, at most 16"
        node.problems.append(InvalidError(f"tier name {name!r} is wrong", node.key_mark, hint))
    if not any(key in fields for key in TIER_KEYS):
        node.problems.append(node.error("limits nothing", f"give one of {', '.join(TIER_KEYS)}"))
    bytes_s, per_min = byte_rate, per_minute
    if backend is Backend.IPSET:
        bytes_s, per_min = _bytes_of_iptables, _connections_of_iptables
    return Tier(
        name,
        egress_bytes_s=fields.get("egress", bytes_s, None),
        ingress_bytes_s=fields.get("ingress", bytes_s, None),
        new_connections_per_min=fields.get("new_connections", per_min, None),
    )


def _tenant(node: Node) -> Tenant:
    fields = Fields(node, TENANT_KEYS)
    if ("account" in fields) == ("network" in fields):
        raise node.error("takes exactly one of account and network", "like {account: acct-7, ...}")
    return Tenant(
        account=short_name(fields.get("account", text, "")),
        network=fields.get("network", network, ""),
        output_tokens_per_day=fields.need("output_tokens_per_day", between(1, 1e15, number), 1.0),
    )


def _trials(policy: Policy, node: Node) -> Trials:
    """Read trials; windows end on passes, so their length is that of whole ones."""
    fields, blank = Fields(node, TRIALS_KEYS), Trials()
    trials = Trials(
        enabled=fields.get("enabled", boolean, blank.enabled),
        share=fields.get("share", between(0.1, 0.2, number), blank.share),
        duration_s=fields.get("duration", between(600, 7200, duration), blank.duration_s),
    )
    passes = trials.duration_s / policy.campaign_pass_s
    if passes < 1 or passes % 1:
        message = f"duration of {trials.duration_s:g}s is not that of whole passes"
        raise node.error(
            message, f"a multiple of policy.campaign_pass, {policy.campaign_pass_s:g}s"
        )
    return trials


def _milder(a: Tier, b: Tier) -> bool:
    pairs = (
        (a.egress_bytes_s, b.egress_bytes_s),
        (a.ingress_bytes_s, b.ingress_bytes_s),
        (a.new_connections_per_min, b.new_connections_per_min),
    )
    return any(x > y for x, y in pairs if x is not None and y is not None)


def _api(node: Node) -> ApiConfig:
    fields = Fields(node, API_KEYS)
    return ApiConfig(
        socket=fields.get("socket", absolute_path, ApiConfig().socket),
        listen=fields.get("listen", _listen, None),
    )


def _listen(node: Node) -> tuple[str, int] | None:
    if node.value is None:
        return None
    host, _, port = text(node).rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise node.error(f"must be an address and a port, found {node.value!r}", _LISTEN) from None
    if not address.is_loopback:
        raise node.error(f"must be a loopback address, found {host}", _LISTEN)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise node.error(f"must end in a port, found {port!r}", _LISTEN)
    return str(address), int(port)


def _policy(node: Node) -> Policy:
    policy = _struct(Policy)(node)
    rising = {
        "observe, throttle, drop": (policy.observe, policy.throttle, policy.drop),
        "collateral_soften, collateral_veto": (policy.collateral_soften, policy.collateral_veto),
        "ttl_observe, ttl_max": (policy.ttl_observe_s, policy.ttl_max_s),
        "ttl_throttle, ttl_max": (policy.ttl_throttle_s, policy.ttl_max_s),
        "ttl_drop, ttl_max": (policy.ttl_drop_s, policy.ttl_max_s),
    }
    for names, values in rising.items():
        if list(values) != sorted(values):
            found = ", ".join(f"{value:g}" for value in values)
            raise node.error(f"must not fall from {names}, found {found}")
    if policy.campaign_pass_s < 1.0:
        raise node.error(f"campaign_pass is at least 1s, found {policy.campaign_pass_s:g}s")
    return policy


def _struct(kind: type[S], least: float = 0) -> Callable[[Node], S]:
    """Return a reader of a struct of numbers; a field `x_s` is the duration `x` in the file."""
    fields = {field.name.removesuffix("_s"): field.name for field in msgspec.structs.fields(kind)}

    def read(node: Node) -> S:
        given, blank = Fields(node, fields), kind()
        values: dict[str, float] = {}
        for key, name in fields.items():
            default = getattr(blank, name)
            values[name] = given.get(key, _number(name, default, least), default)
        return msgspec.structs.replace(blank, **values)

    return read


def _number(name: str, default: float, least: float) -> Callable[[Node], float]:
    if name.endswith("_s"):
        return duration
    low, high = LIMITS.get(name, (least, 1e9))
    read: Callable[[Node], float] = integer if isinstance(default, int) else number
    return between(low, high, read)


def _log(node: Node) -> LogConfig:
    fields, blank = Fields(node, LOG_KEYS), LogConfig()
    return LogConfig(
        file=fields.get("file", _optional_path, None),
        level=fields.get("level", choice(LogLevel), blank.level),
        format=fields.get("format", choice(LogFormat), blank.format),
    )


def _nft(node: Node) -> NftConfig:
    fields, blank = Fields(node, NFT_KEYS), NftConfig()
    return NftConfig(
        owner=fields.get("owner", boolean, blank.owner),
        audit=fields.get("audit", boolean, blank.audit),
        containers=fields.get("containers", _containers, None),
        shaping=fields.get("shaping", each(_interface), ()),
    )


def _containers(node: Node) -> bool | None:
    if node.value == "auto":
        return None
    if not isinstance(node.value, bool):
        raise node.error(f"must be auto, true or false, found {node.value!r}")
    return node.value


def _interface(node: Node) -> str:
    name = text(node)
    if not _INTERFACE.fullmatch(name) or name == "lo":
        raise node.error(f"must be a network interface such as eth0, found {name!r}")
    return name


def _guard(service: tuple[int, ...], backend: Backend) -> Callable[[Node], PortGuard]:
    """Return a reader of the guard, which may shut none of the service's ports."""

    def port(node: Node) -> int:
        number = between(1, 65_535, integer)(node)
        if number in service:
            raise node.error(f"names {number}, which is in `ports`: nobody could reach the service")
        if number in HOST_PORTS:
            raise node.error(f"names {number} ({HOST_PORTS[number]}), which the host depends on")
        return number

    def read(node: Node) -> PortGuard:
        fields = Fields(node, GUARD_KEYS)
        if backend is Backend.IPSET:
            raise node.error("needs enforcer: nftables", "shut the ports with rules of your own")
        if "ports" not in fields:
            raise node.error("names no ports", "like guard: {ports: [8000]}")
        ports = fields.get("ports", each(port), NO_GUARD.ports)
        allow = fields.get("allow", each(network), NO_GUARD.allow)
        return PortGuard(tuple(dict.fromkeys(ports)), allow)

    return read
