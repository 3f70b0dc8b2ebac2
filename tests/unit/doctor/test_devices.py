"""What carries packets past nftables on network devices."""

import pytest

from excise.doctor.check import State
from excise.doctor.devices import Device, check_devices, read_devices
from excise.errors import SourceError


def checks_of(*devices):
    return [(c.name, c.state) for c in check_devices(lambda: list(devices))]


FINE = ("network devices", State.OK)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ((Device("lo", qdisc="noqueue"), Device("eth0", qdisc="mq")), [FINE]),
        ((Device("cilium_host"),), [("eBPF datapath", State.WARN)]),
        ((Device("lxc1234abcd", "veth"),), [("eBPF datapath", State.WARN)]),
        ((Device("eth0", "netkit"),), [("eBPF datapath", State.WARN)]),
        ((Device("eth0", xdp=True),), [("XDP", State.WARN)]),
        ((Device("eth0", filters=(("ingress", "bpf"),)),), [("tc filters", State.WARN)]),
        ((Device("eth0", filters=(("egress", "flower"),)),), [("tc filters", State.WARN)]),
        ((Device("eth0", qdisc="htb"),), [("tc qdiscs", State.OK), FINE]),
    ],
)
def test_what_passes_us_by_is_named(devices, expected):
    assert expected == checks_of(*devices)


def test_many_devices_are_not_named_one_by_one():
    (check,) = check_devices(lambda: [Device(f"lxc{n}") for n in range(50)])
    assert "lxc4 and 45 more" in check.text


def test_where_nobody_may_look_that_is_said():
    def refuse():
        raise SourceError("network devices cannot be looked at: no")

    (check,) = check_devices(refuse)
    assert (State.WARN, "network devices cannot be looked at: no") == (check.state, check.text)


def test_this_host_s_devices_can_be_read():
    assert "lo" in {device.name for device in read_devices()}
