"""What files tell of other packet filters: a service that flushes, tables of the old iptables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from excise.doctor.check import Check, State

_FLUSH = re.compile(r"^\s*flush\s+ruleset\b", re.MULTILINE)

#: where the kernel names the tables of iptables-legacy, and what shows them
_LEGACY = (
    ("ip_tables_names", "iptables-legacy-save"),
    ("ip6_tables_names", "ip6tables-legacy-save"),
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. `/proc/self/net` is that of our own network namespace."""

    nftables_conf: Path = Path("/etc/nftables.conf")
    systemd: Path = Path("/etc/systemd/system")
    proc_net: Path = Path("/proc/self/net")


def check_services(places: Places = Places(), *, owner: bool) -> Iterator[Check]:  # frozen
    """Yield what is found; `owner`: whether our tables belong to the daemon (`nft.owner`)."""
    yield from check_flush(places, owner=owner)
    yield from check_legacy(places.proc_net)


def check_flush(places: Places, *, owner: bool) -> Iterator[Check]:
    """Whether `systemctl restart nftables` empties our tables too."""
    if not _FLUSH.search(_read(places.nftables_conf)):
        return
    enabled = any(places.systemd.glob("*.wants/nftables.service"))
    if not enabled:
        return
    text = f"{places.nftables_conf} flushes the whole ruleset, at the start and restart of nftables"
    if owner:
        yield Check("nftables.service", State.OK, f"{text}; `nft.owner` keeps ours out of it")
        return
    yield Check(
        "nftables.service",
        State.WARN,
        f"{text}: excise puts its tables back within half a second, with an alarm",
        "set nft: {owner: true} (Linux 6.9), or let the file delete its own tables alone",
    )


def check_legacy(proc_net: Path) -> Iterator[Check]:
    """Whether rules of iptables-legacy are in force, which nft(8) does not list."""
    for name, tool in _LEGACY:
        tables = _read(proc_net / name).split()
        if tables:
            yield Check(
                "iptables-legacy",
                State.WARN,
                f"the tables {', '.join(sorted(tables))} of {tool.removesuffix('-save')} are in"
                " use: they run after excise, and neither nft nor this doctor sees their rules",
                f"look at them: {tool}",
            )


def legacy_tables(proc_net: Path) -> list[str]:
    """Return the tables of iptables-legacy, both families."""
    return [table for name, _ in _LEGACY for table in _read(proc_net / name).split()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not there, or not ours to read
        return ""
