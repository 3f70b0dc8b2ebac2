"""All checks that need no running daemon, in order."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from excise.config import Backend, read_config
from excise.doctor.check import Check
from excise.doctor.devices import Devices, check_devices, read_devices
from excise.doctor.firewalls import Tables, check_tables
from excise.doctor.host import (
    CLOCK_SYNCHRONISED,
    check_clock,
    check_config,
    check_input,
    check_kernel,
    check_rules,
    check_state,
)
from excise.doctor.ruleset import read_ruleset
from excise.doctor.services import Places, check_services
from excise.doctor.sets import check_sets
from excise.enforce.ipset_reader import Headers, read_headers


@dataclass(frozen=True, slots=True)
class Sight:
    """What the kernel and the host's files are looked at with."""

    tables: Tables = read_ruleset
    devices: Devices = read_devices
    places: Places = field(default_factory=Places)
    sets: Callable[[], Headers] = read_headers


def examine(path: Path | None, sight: Sight | None = None) -> Iterator[Check]:
    """Yield every check; `path` is the configuration file."""
    look = sight or Sight()
    config, errors = read_config(path)
    yield check_config(config, errors)
    yield check_rules(config)
    yield from (check_input(one) for one in config.inputs)
    yield check_state(config.state)
    yield check_kernel(platform.release(), persist=config.nft.owner)
    yield check_clock(time.time(), Path(__file__).stat().st_mtime, CLOCK_SYNCHRONISED.exists())
    yield from check_tables(config.enforcer, look.tables, config.ports)
    if config.enforcer is Backend.IPSET:
        yield from check_sets(config.posture, config.tiers, look.sets)
    if config.enforcer is not Backend.DRY_RUN:
        yield from check_services(look.places, owner=config.nft.owner)
        yield from check_devices(look.devices)
