"""What a first configuration is written from: this host, looked at."""

from __future__ import annotations

from pathlib import Path

from excise.config import Backend, Config
from excise.doctor.draft import Host
from excise.doctor.examine import Sight
from excise.doctor.logs import candidates
from excise.doctor.sample import Sampler
from excise.doctor.services import legacy_tables
from excise.errors import EnforceError, PrivilegeError


def discover(sight: Sight | None = None, root: Path = Path("/")) -> Host:
    """Look at programs, logs and packet filters; `root` is where logs are looked for.

    Gateways are sent a ClientHello on ports whose numbers do not tell whether that is TLS.
    """
    look = sight or Sight()
    found = look.survey()
    logs = candidates(found, Sampler(Config()), root)
    backend, why = _backend(look)
    return Host(look.ask_tls(found), tuple(logs), backend, why)


def _backend(look: Sight) -> tuple[Backend, str]:
    """Return nftables, but ipset where only iptables-legacy is there, and why."""
    try:
        look.tables()
    except PrivilegeError:
        return Backend.NFTABLES, "Whether nftables answers was not seen: that takes root."
    except EnforceError as error:
        if legacy_tables(look.places.proc_net):
            return Backend.IPSET, (
                f"nftables cannot be used here ({error}), and iptables-legacy is in use. See"
                " `excise doctor --iptables` for the rules that it takes: docs/enforcement.md"
            )
        return Backend.NFTABLES, f"nftables cannot be used yet: {error}; see `excise doctor`"
    return Backend.NFTABLES, ""
