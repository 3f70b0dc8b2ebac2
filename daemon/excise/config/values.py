"""The configuration as values: every field's default is what holds where the file is silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from excise.decode.base import DecodeContext
from excise.decode.registry import Format
from excise.decode.trust import FORWARDED_FOR, UNIX, parse_networks
from excise.model.asns import AsnTable
from excise.model.decision import Posture, Tier
from excise.model.portguard import NO_GUARD, PortGuard
from excise.model.settings import (
    DEFAULT_TIERS,
    Capacity,
    Governor,
    Policy,
    Room,
    Settings,
    Tenant,
    Trials,
)

DEFAULT_PATH = Path("/etc/excise/excise.yaml")
LOCAL_RULES = Path("/etc/excise/rules.d")
SHIPPED_RULES = Path("/usr/share/excise/rules")
LOOPBACK = ("127.0.0.0/8", "::1/128")
QUIET_AFTER_S = 300.0
#: name of the input that pushed records belong to
HTTP = "http"
LOCAL_TIME = Path("/etc/localtime")


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


class Wire(StrEnum):
    """How lines come to a socket."""

    UNIX = "unix"
    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class SocketConfig:
    """A socket that others write lines to; `syslog`: with a syslog header around each.

    `path` is that of a unix datagram socket, with the `mode` and `group` it gets; `address` is
    (host, port) of the others, whose peers must be within `allow`.
    """

    wire: Wire
    syslog: bool = False
    path: Path = Path()
    address: tuple[str, int] = ("", 0)
    allow: tuple[str, ...] = LOOPBACK
    mode: int = 0o660
    group: str | None = None

    @property
    def name(self) -> str:
        """What it is called in status and store."""
        kind = "syslog" if self.syslog else "datagram"
        if self.wire is Wire.UNIX:
            return f"{kind}:{self.path}"
        host, port = self.address
        return f"{kind}:{self.wire}:" + (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Which entries of systemd's journal are read: any of the values of each kind, all kinds."""

    units: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    directory: Path | None = None

    @property
    def name(self) -> str:
        """What it is called in status and store."""
        where = (str(self.directory),) if self.directory else ()
        return "journal:" + ",".join((*where, *self.units, *self.identifiers, *self.matches))


@dataclass(frozen=True, slots=True)
class InputConfig:
    """One input: the first of `file`, `journal`, `socket` and `http` that is set, else stdin.

    `quiet_after_s`: silent for so long, while the service's ports are busy, it is blind; None:
    never. `ports` are those ports, where they are not those of the service.
    """

    file: Path | None = None
    format: str | Format = "auto"
    from_start: bool = False
    journal: JournalConfig | None = None
    socket: SocketConfig | None = None
    http: bool = False
    quiet_after_s: float | None = QUIET_AFTER_S
    ports: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in status and store."""
        if self.file is not None:
            return str(self.file)
        source = self.journal or self.socket
        if source is not None:
            return source.name
        return HTTP if self.http else "stdin"

    @property
    def format_name(self) -> str:
        """What its format is called."""
        return self.format if isinstance(self.format, str) else self.format.name

    @property
    def pattern(self) -> bool:
        """Whether `file` is a pattern that any number of files may fit."""
        return self.file is not None and any(sign in str(self.file) for sign in "*?[")


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
    """nftables: `owner` ties the table to the daemon's netlink socket (flag owner).

    `audit`: listen for who else changes the table. `containers`: look up replies of containers
    behind NAT; None: where there is NAT. `shaping` names interfaces on which a class of HTB holds
    an egress throttle's rate.
    """

    owner: bool = False
    audit: bool = True
    containers: bool | None = None
    shaping: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; every field is the default where the file is silent.

    `path` is the file it came from, None for defaults alone; `notes` are for a person to see.
    `asns` is what `asn_table` holds, once it was read (`config.asns`).
    """

    posture: Posture = Posture.OBSERVE
    inputs: tuple[InputConfig, ...] = (InputConfig(Path("/var/log/nginx/excise.log"), "record"),)
    trusted_proxies: tuple[str, ...] = ()
    proxy_header: str = FORWARDED_FOR
    confirm_peers: bool = False
    never_block: tuple[str, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    trials: Trials = field(default_factory=Trials)
    rules: tuple[Path, ...] = (LOCAL_RULES, SHIPPED_RULES)
    ports: tuple[int, ...] = (443,)
    enforcer: Backend = Backend.NFTABLES
    tiers: tuple[Tier, ...] = DEFAULT_TIERS
    state: Path = Path("/var/lib/excise")
    api: ApiConfig = ApiConfig()
    policy: Policy = field(default_factory=Policy)
    governor: Governor = field(default_factory=Governor)
    capacity: Capacity = field(default_factory=Capacity)
    kernel: Room = field(default_factory=Room)
    log: LogConfig = LogConfig()
    protect_operator: bool = True
    nft: NftConfig = NftConfig()
    guard: PortGuard = NO_GUARD
    asn_table: Path | None = None
    asns: AsnTable | None = None
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
            trusted_proxies=self.proxy_networks(),
            confirm_peers=self.confirm_peers,
            tenants=self.tenants,
            trials=self.trials,
            asns=self.asns,
        )

    def proxy_networks(self) -> tuple[str, ...]:
        """Return the trusted proxies that have an address."""
        return tuple(proxy for proxy in self.trusted_proxies if proxy != UNIX)


def decode_context(config: Config, account_key: bytes, zone: str = "") -> DecodeContext:
    """Return what decoders are told; `zone` is the name of a time zone, `""` for the host's."""
    return DecodeContext(
        trusted=parse_networks(config.proxy_networks()),
        account_key=account_key,
        trusted_unix=UNIX in config.trusted_proxies,
        proxy_header=config.proxy_header,
        zone=ZoneInfo(zone) if zone else local_zone(),
    )


def local_zone() -> tzinfo:
    """Return the host's time zone with its summer times; UTC if it says none."""
    try:
        with LOCAL_TIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
