"""A wire of a given length between two network namespaces: packets come out later, in order.

    python slow_wire.py NAMESPACE OTHER DEVICE ONE_WAY_MS

The kernel's own delay (netem) is a module that many hosts lack, a TUN device is not. The device is
there already, in both namespaces, with its addresses.
"""

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LARGEST = 65_536


def end_in(namespace, device):
    """Return the file of a TUN device; the namespace in which it is opened is its."""
    inside = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(inside, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(inside)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def carry(one, other, delay_s):
    """Pass packets on both ways for ever."""
    to = {one: other, other: one}
    under_way = deque()
    while True:
        left = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        ready, _, _ = select.select([one, other], [], [], left)
        for end in ready:
            under_way.append((time.monotonic() + delay_s, to[end], os.read(end, LARGEST)))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            os.write(end, packet)


if __name__ == "__main__":
    namespace, other, device, one_way_ms = sys.argv[1:]
    carry(end_in(namespace, device), end_in(other, device), float(one_way_ms) / 1e3)
