"""The knobs of the core. The configuration file fills them in; every one has a safe default."""

from __future__ import annotations

import msgspec

from excise.model.asns import AsnTable
from excise.model.decision import Posture, Tier

DEFAULT_TIERS = (
    Tier("slow", egress_bytes_s=50 * 1024, ingress_bytes_s=20 * 1024),
    Tier("crawl", egress_bytes_s=5 * 1024, ingress_bytes_s=2 * 1024, new_connections_per_min=6.0),
)


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Most rows each table holds before the least established are forgotten."""

    clients: int = 262_144
    subnets: int = 131_072
    accounts: int = 131_072
    uses: int = 131_072
    stacks: int = 16_384
    templates: int = 65_536
    links: int = 524_288
    ties: int = 262_144
    dialogues: int = 262_144


class Room(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Most entries that the kernel shall hold: of single clients, and of networks."""

    clients: int = 262_144
    networks: int = 8_192


class Governor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what may be enforced; past them the posture falls back to observe, with an alarm.

    `max_share` is the share of clients active within the hour that may be enforced at once;
    it counts once more than `free` clients are.
    """

    max_new_per_min: int = 600
    max_share: float = 0.7
    free: int = 100
    min_prefix_v4: int = 16
    min_prefix_v6: int = 40


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How evidence becomes decisions. Scores are points; see docs/scoring.md.

    `family_cap`: most that one family adds. `observe`, `throttle`, `drop`: score at which the
    ladder's rungs begin; the tiers share the span from `throttle` to `drop` evenly.
    `drop_families`: independent families that a drop takes. `dwell_s`: shortest time on a rung
    before the next. `ttl_*_s`: time to live; each earlier decision on a target doubles it, up
    to `ttl_max_s`, and each target's is shorter by up to a share `jitter`. `keep`: share of a
    rung's threshold below which a decision is let lapse.
    `collateral_soften`, `collateral_veto`: honest share of tokens behind a target above which a
    drop becomes a throttle, and above which nothing on the network plane is done.
    `subnet_members`, `subnet_guilty`: distinct guilty clients a prefix takes, and their least
    share among its clients. `campaign_families`: independent families that enforcing a campaign
    takes. `campaign_pass_s`: how often groups of accounts are looked for, in event time.
    """

    family_cap: float = 39.0
    observe: float = 20.0
    throttle: float = 40.0
    drop: float = 65.0
    drop_families: int = 2
    dwell_s: float = 10.0
    ttl_observe_s: float = 3600.0
    ttl_throttle_s: float = 3600.0
    ttl_drop_s: float = 3600.0
    ttl_max_s: float = 86_400.0
    jitter: float = 0.05
    keep: float = 0.7
    collateral_soften: float = 0.1
    collateral_veto: float = 0.4
    subnet_members: int = 6
    subnet_guilty: float = 0.8
    campaign_families: int = 3
    campaign_pass_s: float = 600.0


class Trials(msgspec.Struct, frozen=True):
    """Whether campaigns that are not enforced are tried: some accounts slowed, others watched.

    `share` of a campaign's accounts are slowed for `duration_s`; see docs/campaigns.md.
    """

    enabled: bool = False
    share: float = 0.15
    duration_s: float = 1800.0


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A declared heavy user: an account or a network, with what it may take in a day."""

    account: str = ""
    network: str = ""
    output_tokens_per_day: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the engine is told at start.

    `confirm_peers`: the operator says that the few addresses which carry nearly all requests are
    clients, whatever it looks like. `asns`: which autonomous system an address is of, if known.
    """

    posture: Posture = Posture.OBSERVE
    tiers: tuple[Tier, ...] = DEFAULT_TIERS
    policy: Policy = Policy()
    governor: Governor = Governor()
    capacity: Capacity = Capacity()
    never_block: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    confirm_peers: bool = False
    tenants: tuple[Tenant, ...] = ()
    trials: Trials = Trials()
    asns: AsnTable | None = None
    late_tolerance_s: float = 300.0
    jump_tolerance_s: float = 3600.0
