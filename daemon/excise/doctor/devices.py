"""What may carry packets past nftables on a network device: XDP, tc programs, eBPF datapaths."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pyroute2 import IPRoute, NetlinkError

from excise.doctor.check import Check, State
from excise.errors import SourceError

#: TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS (linux/pkt_sched.h)
CLSACT = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
#: qdiscs that say nothing of anybody's wish: the kernel's own defaults
DEFAULT_QDISCS = frozenset({"noqueue", "pfifo_fast", "mq", "fq", "fq_codel", "pfifo"})
CILIUM = ("cilium_", "lxc")
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Device:
    """A network device; `xdp` whether a program is attached, `filters` as (direction, kind)."""

    name: str
    kind: str = ""
    xdp: bool = False
    qdisc: str = ""
    filters: tuple[tuple[str, str], ...] = ()


#: returns all devices, or raises SourceError
Devices = Callable[[], list[Device]]


def check_devices(devices: Devices) -> Iterator[Check]:
    """Whether something carries packets past excise; programs in tcx links are not seen."""
    try:
        found = devices()
    except SourceError as error:
        yield Check("network devices", State.WARN, str(error), "run this as root")
        return
    checks = [*check_datapath(found), *check_xdp(found), *check_tc(found), *check_shaping(found)]
    yield from checks
    if not any(check.state is not State.OK for check in checks):
        text = f"{len(found)}; none carries packets past excise, as far as can be seen"
        yield Check("network devices", State.OK, text)


def check_datapath(devices: Iterable[Device]) -> Iterator[Check]:
    """Whether an eBPF datapath is in place of the kernel's."""
    cilium = [d.name for d in devices if d.name.startswith(CILIUM) or d.kind == "netkit"]
    if cilium:
        yield Check(
            "eBPF datapath",
            State.WARN,
            f"Cilium or its like ({_some(cilium)}): packets to pods may pass no nftables chain,"
            " so drops and throttles may not reach them",
            "run the gateway with hostNetwork and excise beside it, or let Cilium route through"
            " the host (bpf.hostLegacyRouting=true); prove it: drop a test address and connect",
        )


def check_xdp(devices: Iterable[Device]) -> Iterator[Check]:
    """Whether programs run before any packet filter."""
    names = [device.name for device in devices if device.xdp]
    if names:
        yield Check(
            "XDP",
            State.WARN,
            f"a program on {_some(names)} sees packets first: what it drops excise does not count,"
            " what it sends on itself excise never sees",
            "look at it: ip link show; bpftool net",
        )


def check_tc(devices: Iterable[Device]) -> Iterator[Check]:
    """Whether tc filters may redirect packets before or after us."""
    for direction in CLSACT:
        names = [
            f"{d.name} ({', '.join(sorted({k for way, k in d.filters if way == direction}))})"
            for d in devices
            if any(way == direction for way, _kind in d.filters)
        ]
        if names:
            when = "before" if direction == "ingress" else "after"
            yield Check(
                "tc filters",
                State.WARN,
                f"{direction} filters on {_some(names)} run {when} excise: what they redirect or"
                " drop passes it by",
                f"look at them: tc filter show dev {names[0].split()[0]} {direction}",
            )


def check_shaping(devices: Iterable[Device]) -> Iterator[Check]:
    """Name queues that somebody chose: they are passed after our throttles."""
    shaped = [f"{d.name} ({d.qdisc})" for d in devices if d.qdisc and d.qdisc not in DEFAULT_QDISCS]
    if shaped:
        text = f"{_some(shaped)}: shapes what is left after the throttles of excise"
        yield Check("tc qdiscs", State.OK, text)


def read_devices() -> list[Device]:
    """Look at all network devices. Raises SourceError."""
    try:
        with IPRoute() as route:
            roots, clsact = _qdiscs(route)
            return [
                Device(
                    name=str(link.get("ifname")),
                    kind=str(link.get(("linkinfo", "kind")) or ""),
                    xdp=bool(link.get(("xdp", "xdp_attached"))),
                    qdisc=roots.get(link["index"], ""),
                    filters=tuple(_filters(route, link["index"]))
                    if link["index"] in clsact
                    else (),
                )
                for link in route.get_links()
            ]
    except (NetlinkError, OSError) as error:
        raise SourceError(f"network devices cannot be looked at: {error}") from error


def _qdiscs(route: IPRoute) -> tuple[dict[int, str], set[int]]:
    """Return each device's root qdisc, and the devices that may have filters."""
    roots: dict[int, str] = {}
    clsact: set[int] = set()
    for qdisc in route.get_qdiscs():
        kind = str(qdisc.get("kind"))
        if kind in {"clsact", "ingress"}:
            clsact.add(qdisc["index"])
        elif qdisc["parent"] == 0xFFFFFFFF:  # TC_H_ROOT
            roots[qdisc["index"]] = kind
    return roots, clsact


def _filters(route: IPRoute, index: int) -> Iterator[tuple[str, str]]:
    for direction, parent in CLSACT.items():
        try:
            found = {str(f.get("kind")) for f in route.get_filters(index=index, parent=parent)}
        except NetlinkError as error:
            if error.code not in {errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP}:
                raise
            continue  # an ingress qdisc has no egress
        yield from ((direction, kind) for kind in sorted(found))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
