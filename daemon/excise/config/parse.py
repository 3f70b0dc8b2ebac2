"""Plain data → Config. Every problem has its place, and all of them are found at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from excise.config.values import (
    ApiConfig,
    Backend,
    Config,
    InputConfig,
    LogConfig,
    LogFormat,
    LogLevel,
    NftConfig,
)
from excise.decode.registry import AUTO, FORMATS
from excise.errors import ConfigError, InvalidError
from excise.model.decision import Posture, Tier
from excise.model.document import Document, Fields, Node, each, in_order
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
from excise.model.settings import Capacity, Governor, Policy, Tenant

KEYS = (
    "posture",
    "inputs",
    "trusted_proxies",
    "never_block",
    "tenants",
    "rules",
    "ports",
    "enforcer",
    "tiers",
    "state",
    "api",
    "policy",
    "governor",
    "capacity",
    "log",
    "protect_operator",
    "nft",
)
INPUT_KEYS = ("file", "stdin", "format", "from_start")
#: named in the format of the file, read by no source of this version
LATER_INPUTS = ("journal", "syslog", "datagram", "http")
TIER_KEYS = ("egress", "ingress", "new_connections")
API_KEYS = ("socket", "listen")
LOG_KEYS = ("file", "level", "format")
NFT_KEYS = ("owner",)
TENANT_KEYS = ("account", "network", "output_tokens_per_day")
_LISTEN = 'like "127.0.0.1:7788"'
_TIER_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")

#: least and most of the numbers of policy, governor and capacity that are not simply from 0 on
LIMITS: dict[str, tuple[float, float]] = {
    "drop_families": (1, 7),
    "campaign_families": (2, 7),
    "keep": (0, 1),
    "collateral_soften": (0, 1),
    "collateral_veto": (0, 1),
    "subnet_guilty": (0, 1),
    "max_share": (0, 1),
    "min_prefix_v4": (8, 32),
    "min_prefix_v6": (16, 64),
}
S = TypeVar("S", bound=msgspec.Struct)


def parse_config(document: Document, path: Path | None = None) -> tuple[Config, list[ConfigError]]:
    """Return what a document configures and everything that is wrong with it."""
    root = document.root()
    config = _config(Fields(root, KEYS), path)
    return config, [ConfigError(p.message, p.mark, p.hint) for p in in_order(root.problems)]


def _config(fields: Fields, path: Path | None) -> Config:
    blank = Config()
    return Config(
        posture=fields.get("posture", choice(Posture), blank.posture),
        inputs=fields.get("inputs", _inputs, blank.inputs),
        trusted_proxies=fields.get("trusted_proxies", each(network), ()),
        never_block=fields.get("never_block", each(network), ()),
        tenants=fields.get("tenants", each(_tenant), ()),
        rules=fields.get("rules", each(_path), blank.rules),
        ports=fields.get("ports", _ports, blank.ports),
        enforcer=fields.get("enforcer", _backend, blank.enforcer),
        tiers=fields.get("tiers", _tiers, blank.tiers),
        state=fields.get("state", _path, blank.state),
        api=fields.get("api", _api, blank.api),
        policy=fields.get("policy", _policy, blank.policy),
        governor=fields.get("governor", _struct(Governor), blank.governor),
        capacity=fields.get("capacity", _struct(Capacity, least=1024), blank.capacity),
        log=fields.get("log", _log, blank.log),
        protect_operator=fields.get("protect_operator", boolean, blank.protect_operator),
        nft=fields.get("nft", _nft, blank.nft),
        path=path,
    )


def _backend(node: Node) -> Backend:
    backend = choice(Backend)(node)
    if backend is Backend.IPSET:
        raise node.error("ipset is not supported in this version", "use nftables, or dry-run")
    return backend


def _inputs(node: Node) -> tuple[InputConfig, ...]:
    inputs = each(_input)(node)
    if sum(item.file is None for item in inputs) > 1:
        raise node.error("may name standard input only once")
    files = [item.file for item in inputs if item.file]
    for file in files:
        if files.count(file) > 1:
            raise node.error(f"names {file} twice")
    return inputs


def _input(node: Node) -> InputConfig:
    if not isinstance(node.value, dict):
        raise node.error("must be mappings", "like {file: /var/log/x.log}")
    for key in LATER_INPUTS:
        if key in node.value:
            mark = node.child(key, None).key_mark
            raise InvalidError(f"input {key}: is not supported in this version", mark, "use file:")
    fields = Fields(node, INPUT_KEYS)
    if ("file" in fields) == ("stdin" in fields):
        raise node.error("takes exactly one of file and stdin", "like {file: /var/log/x.log}")
    if "stdin" in fields:
        fields.get("stdin", _present, None)
        if "from_start" in fields:
            raise node.error("from_start has no meaning for stdin")
    return InputConfig(
        file=fields.get("file", _path, None),
        format=fields.get("format", one_of((AUTO, *FORMATS)), AUTO),
        from_start=fields.get("from_start", boolean, False),
    )


def _present(node: Node) -> None:
    if node.value is not None and node.value is not True:
        raise node.error("takes no value but true")


def _path(node: Node) -> Path:
    path = Path(text(node))
    if not path.is_absolute():
        raise node.error(f"must be an absolute path, found {str(path)!r}")
    return path


def _optional_path(node: Node) -> Path | None:
    return None if node.value is None else _path(node)


def _ports(node: Node) -> tuple[int, ...]:
    ports = each(between(1, 65_535, integer))(node)
    if node.value == []:
        raise node.error("must name at least one port")
    return tuple(dict.fromkeys(ports))


def _tiers(node: Node) -> tuple[Tier, ...]:
    if not isinstance(node.value, dict) or not node.value:
        raise node.error("must be a mapping of at least one tier", "like slow: {egress: 50 KiB/s}")
    tiers = tuple(_tier(name, node.child(name, value)) for name, value in node.value.items())
    for mild, strict in pairwise(tiers):
        if _milder(strict, mild):
            message = f"go from the mildest on, but {strict.name} allows more than {mild.name}"
            raise node.error(message, "swap them")
    return tiers


def _tier(name: str, node: Node) -> Tier:
    fields = Fields(node, TIER_KEYS)
    if not _TIER_NAME.fullmatch(name):
        hint = "lower case letters, digits and -, at most 16"
        node.problems.append(InvalidError(f"tier name {name!r} is wrong", node.key_mark, hint))
    if not any(key in fields for key in TIER_KEYS):
        node.problems.append(node.error("limits nothing", f"give one of {', '.join(TIER_KEYS)}"))
    return Tier(
        name,
        egress_bytes_s=fields.get("egress", byte_rate, None),
        ingress_bytes_s=fields.get("ingress", byte_rate, None),
        new_connections_per_min=fields.get("new_connections", per_minute, None),
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
        socket=fields.get("socket", _path, ApiConfig().socket),
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
    return NftConfig(owner=Fields(node, NFT_KEYS).get("owner", boolean, False))
