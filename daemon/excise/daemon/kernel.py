"""Taking hold of the kernel at start, and letting go of it for good."""

from __future__ import annotations

from excise.config import Backend, Config
from excise.daemon.converge import Converger
from excise.enforce.base import Enforcer
from excise.enforce.dryrun import DryRun
from excise.enforce.ipset import Ipset
from excise.enforce.nft import Nftables
from excise.errors import EnforceError, ForeignTableError, PrivilegeError
from excise.log import Log


def make_enforcer(config: Config) -> Enforcer:
    """Return the backend that the configuration names."""
    match config.enforcer:
        case Backend.DRY_RUN:
            return DryRun()
        case Backend.NFTABLES:
            return Nftables(owner=config.nft.owner, audit=config.nft.audit)
        case Backend.IPSET:
            return Ipset(config.tiers)


def take_hold(
    converger: Converger, config: Config, protected: list[str], *, enforcing: bool, log: Log
) -> None:
    """Take over what an earlier run left in the kernel; while observing, remove it instead.

    Raises EnforceError where it was to enforce and cannot.
    """
    if enforcing:
        converger.open(protected, config.ports)
        return
    try:
        converger.sweep()
    except (PrivilegeError, ForeignTableError) as error:
        # Observing takes no right, and a table of others is no matter of ours.
        log.info("enforce.left_alone", reason=str(error))
    except EnforceError as error:
        log.warning("enforce.not_swept", error=str(error))
