"""Which TCP sockets listen in this network namespace: proc(5), net/tcp and net/tcp6."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from excise.host import from_proc

#: state LISTEN (include/net/tcp_states.h)
_LISTEN = "0A"
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket; `inode` tells whose it is."""

    address: str
    port: int
    inode: int = 0

    @property
    def local(self) -> bool:
        """Whether only this host reaches it."""
        return ip_address(self.address).is_loopback


def listeners(proc_net: Path = Path("/proc/self/net")) -> list[Listener]:
    """Return what listens, by port. Raises OSError where neither family can be read."""
    found: list[Listener] = []
    texts = [text for name in ("tcp", "tcp6") if (text := _read(proc_net / name))]
    if not texts:
        raise OSError(f"{proc_net}/tcp cannot be read")
    for text in texts:
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN:
                address, _, port = fields[1].rpartition(":")
                found.append(Listener(_plain(from_proc(address)), int(port, 16), int(fields[9])))
    return sorted(found, key=lambda one: (one.port, one.address))


def _plain(text: str) -> str:
    address = ip_address(text)
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped or address)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(MOST_BYTES)
    except OSError:  # no IPv6, or not ours to read
        return ""
