"""The configuration as values: every field's default is what holds where the file is silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from excise.model.decision import Posture, Tier
from excise.model.settings import DEFAULT_TIERS, Capacity, Governor, Policy, Settings, Tenant

DEFAULT_PATH = Path("/etc/excise/excise.yaml")
LOCAL_RULES = Path("/etc/excise/rules.d")
SHIPPED_RULES = Path("/usr/share/excise/rules")


class Backend(StrEnum):
    """Who makes the kernel agree with the decisions."""

    NFTABLES = "nftables"
    IPSET = "ipset"
    DRY_RUN = "dry-run"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How it is written; `auto` is console on a terminal, JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class InputConfig:
    """One input: a file that is followed, or standard input where `file` is None."""

    file: Path | None
    format: str = "auto"
    from_start: bool = False


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Where the control API listens; `listen` is a loopback address and port."""

    socket: Path = Path("/run/excise/control.sock")
    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Where the daemon's own log goes; no file means standard error."""

    file: Path | None = None
    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO


@dataclass(frozen=True, slots=True)
class NftConfig:
    """nftables: `owner` ties the table to the daemon's netlink socket (flag owner)."""

    owner: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every field is the default where the file is silent.

    `path` is the file it came from, None for defaults alone; `notes` are for a person to see.
    """

    posture: Posture = Posture.OBSERVE
    inputs: tuple[InputConfig, ...] = (InputConfig(Path("/var/log/nginx/excise.log"), "record"),)
    trusted_proxies: tuple[str, ...] = ()
    never_block: tuple[str, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    rules: tuple[Path, ...] = (LOCAL_RULES, SHIPPED_RULES)
    ports: tuple[int, ...] = (443,)
    enforcer: Backend = Backend.NFTABLES
    tiers: tuple[Tier, ...] = DEFAULT_TIERS
    state: Path = Path("/var/lib/excise")
    api: ApiConfig = ApiConfig()
    policy: Policy = field(default_factory=Policy)
    governor: Governor = field(default_factory=Governor)
    capacity: Capacity = field(default_factory=Capacity)
    log: LogConfig = LogConfig()
    protect_operator: bool = True
    nft: NftConfig = NftConfig()
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def settings(self) -> Settings:
        """Return the part that the engine is told."""
        return Settings(
            posture=self.posture,
            tiers=self.tiers,
            policy=self.policy,
            governor=self.governor,
            capacity=self.capacity,
            never_block=self.never_block,
            trusted_proxies=self.trusted_proxies,
            tenants=self.tenants,
        )
