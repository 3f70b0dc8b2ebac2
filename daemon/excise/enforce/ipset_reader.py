"""Reads our sets back from the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from excise.enforce import ipset_layout as layout
from excise.enforce import ipset_wire as wire
from excise.enforce.ipset_layout import SetSpec
from excise.enforce.ipset_ledger import Held
from excise.enforce.ipset_socket import IpsetSocket
from excise.enforce.ipset_wire import Header
from excise.errors import EnforceError, ForeignTableError

Headers = Mapping[SetSpec, Header]


class IpsetReader:
    """Questions about our sets. Raises what IpsetSocket raises. `clock` gives epoch seconds."""

    def __init__(self, ipset_socket: IpsetSocket, clock: Callable[[], float]) -> None:
        self._socket = ipset_socket
        self._clock = clock

    def names(self) -> list[str]:
        """Return the names of all our sets, those half filled too."""
        ours = layout.TEMPORARY
        return [
            header.name
            for header in self._list()
            if layout.parse_name(header.name.removesuffix(ours)) is not None
        ]

    def headers(self) -> dict[SetSpec, Header]:
        """Return our sets' headers. Raises ForeignTableError for a name with another type."""
        found = {}
        for header in self._list():
            spec = layout.parse_name(header.name)
            if spec is None:
                continue
            have, want = header.kind, spec.kind
            if (have.typename, have.version) != (want.typename, want.version):
                raise ForeignTableError(
                    f"ipset '{header.name}' is a {have.typename}, not made by this daemon; look"
                    f" at it with 'ipset list {header.name}', then rename or destroy it"
                )
            found[spec] = header
        return found

    def entries(self, spec: SetSpec) -> Iterator[wire.Entry]:
        """Yield what a set holds, with its counters."""
        for reply in self._socket.dump(wire.list_entries(spec.name)):
            yield from wire.read_entries(reply)

    def dump(self, spec: SetSpec) -> Held:
        """Return a set's keys and deadlines; one without a deadline has the latest."""
        found: Held = {}
        for reply in self._socket.dump(wire.list_entries(spec.name)):
            # part by part, as a dump takes its time; the kernel rounds down
            now = self._clock() + 0.5
            for key, left_s in wire.read_left(reply).items():
                found[key] = now + (wire.MOST_S if left_s is None else left_s)
        return found

    def dump_all(self, headers: Headers) -> dict[SetSpec, Held]:
        """Return what all these sets hold."""
        return {spec: self.dump(spec) if h.entries else {} for spec, h in headers.items()}

    def _list(self) -> Iterator[Header]:
        for reply in self._socket.dump(wire.list_headers()):
            header = wire.read_header(reply)
            if header:
                yield header


def unreferenced(specs: Iterable[SetSpec], headers: Headers) -> list[SetSpec]:
    """Return the sets that are there and no rule refers to, in order of name.

    Those for IPv6 only once there is something to enforce on it: a host may have none.
    """
    busy = {s.version for s, h in headers.items() if h.entries and s.role != "allow"} | {4}
    there = (spec for spec in specs if spec in headers)
    idle = [s for s in there if not headers[s].references and (s.version or 4) in busy]
    return sorted(idle, key=lambda spec: spec.name)


def read_headers() -> dict[SetSpec, Header]:
    """Return our sets' headers in this network namespace. Raises EnforceError."""
    try:
        opened = IpsetSocket()
    except OSError as error:
        raise EnforceError(f"no netlink socket to ipset: {error}") from error
    try:
        opened.ask(wire.ask_protocol())
        return IpsetReader(opened, lambda: 0.0).headers()
    finally:
        opened.close()
