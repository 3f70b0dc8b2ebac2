"""Taking hold of the kernel at start, and letting go of it for good."""

from __future__ import annotations

from excise.config import Backend, Config, NftConfig
from excise.daemon.converge import Converger
from excise.enforce.base import Enforcer
from excise.enforce.dryrun import DryRun
from excise.enforce.htb import Htb, clear_leftovers
from excise.enforce.ipset import Ipset
from excise.enforce.nft import Nftables
from excise.enforce.shaped import Shaped
from excise.errors import EnforceError, ForeignTableError, PrivilegeError
from excise.log import Log


def make_enforcer(config: Config, log: Log | None = None) -> Enforcer:
    """Return the backend that the configuration names; what it has to tell goes to `log`."""
    match config.enforcer:
        case Backend.DRY_RUN:
            return DryRun()
        case Backend.NFTABLES:
            return _nftables(config.nft, log)
        case Backend.IPSET:
            return Ipset(config.tiers)


def _nftables(config: NftConfig, log: Log | None) -> Enforcer:
    shaping = bool(config.shaping)
    nft = Nftables(
        owner=config.owner,
        containers=config.containers,
        shaping=shaping,
        audit=config.audit,
    )
    if not shaping:
        return nft
    shaped = Shaped(nft, Htb(config.shaping))
    if log:
        shaped.tell = log.warning
    return shaped


def take_hold(
    converger: Converger, config: Config, protected: list[str], *, enforcing: bool, log: Log
) -> None:
    """Take over what an earlier run left in the kernel; while observing, remove it instead.

    A guard holds while observing too. Raises EnforceError where it was to enforce or to guard
    and cannot.
    """
    if config.enforcer is Backend.NFTABLES and not config.nft.shaping:
        _clear_shaping(log)
    if config.guard.ports and config.enforcer is Backend.DRY_RUN:
        log.warning("guard.not_in_force", reason="enforcer: dry-run leaves the kernel alone")
    if enforcing or config.guard.ports:
        converger.open(protected, config.ports, config.guard)
        return
    try:
        converger.sweep()
    except (PrivilegeError, ForeignTableError) as error:
        # Observing takes no right, and a table of others is no matter of ours.
        log.info("enforce.left_alone", reason=str(error))
    except EnforceError as error:
        log.warning("enforce.not_swept", error=str(error))


def _clear_shaping(log: Log) -> None:
    """Give interfaces back that a run which shaped was killed on."""
    try:
        clear_leftovers()
    except EnforceError as error:
        log.info("shaping.left_alone", reason=str(error))
