"""All checks that need no running daemon, in order."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from excise.config import Backend, Config, read_config, rule_directories
from excise.doctor.asktls import ask
from excise.doctor.check import Check
from excise.doctor.devices import Devices, check_devices, read_devices
from excise.doctor.firewalls import Tables, check_tables
from excise.doctor.host import (
    CLOCK_SYNCHRONISED,
    check_clock,
    check_config,
    check_kernel,
    check_rules,
    check_state,
)
from excise.doctor.inputs import check_input
from excise.doctor.peers import check_peers
from excise.doctor.ruleset import read_ruleset
from excise.doctor.runas import check_runas
from excise.doctor.sample import Sample, Sampler
from excise.doctor.seen import check_sample
from excise.doctor.services import Places, check_services
from excise.doctor.serving import check_serving
from excise.doctor.sets import check_sets
from excise.doctor.survey import Survey, survey
from excise.doctor.twice import check_twice
from excise.enforce.ipset_reader import Headers, read_headers
from excise.errors import ConfigError
from excise.rulecheck import load_rules
from excise.rules.schema import Rule


@dataclass(frozen=True, slots=True)
class Sight:
    """What the kernel and the host's files are looked at with."""

    tables: Tables = read_ruleset
    devices: Devices = read_devices
    places: Places = field(default_factory=Places)
    sets: Callable[[], Headers] = read_headers
    survey: Callable[[], Survey] = survey
    ask_tls: Callable[[Survey], Survey] = ask


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every check, in order, and the samples of the inputs that some of them rest on."""

    checks: tuple[Check, ...]
    samples: tuple[Sample, ...]


def examine(path: Path | None, sight: Sight | None = None) -> Diagnosis:
    """Look at everything; `path` is the configuration file."""
    look = sight or Sight()
    config, errors = read_config(path)
    sampler = Sampler(config)
    # A broken configuration names no inputs, and the default's is nobody's.
    samples = tuple(map(sampler.sample, () if errors else config.inputs))
    found = look.survey()
    checks = [check_config(config, errors), check_rules(config)]
    checks += check_serving(found, config)
    checks += (check_input(one) for one in config.inputs)
    checks += check_runas(config.inputs, config.state)
    checks += _check_samples(samples, config, found)
    checks += _check_host(config, look)
    return Diagnosis(tuple(checks), samples)


def _check_samples(samples: Sequence[Sample], config: Config, found: Survey) -> Iterator[Check]:
    rules = _rules(config)
    for sample in samples:
        yield from check_sample(sample, rules, found.programs())
    yield from check_twice(samples)
    yield from check_peers(samples, config)


def _rules(config: Config) -> tuple[Rule, ...]:
    try:
        return load_rules(rule_directories(config))[0].rules
    except ConfigError:  # the check of the rules says it already
        return ()


def _check_host(config: Config, look: Sight) -> Iterator[Check]:
    yield check_state(config.state)
    yield check_kernel(platform.release(), persist=config.nft.owner)
    yield check_clock(time.time(), Path(__file__).stat().st_mtime, CLOCK_SYNCHRONISED.exists())
    yield from check_tables(config.enforcer, look.tables, config.ports)
    if config.enforcer is Backend.IPSET:
        yield from check_sets(config.posture, config.tiers, look.sets)
    if config.enforcer is not Backend.DRY_RUN:
        yield from check_services(look.places, owner=config.nft.owner)
        yield from check_devices(look.devices)
