"""Our queueing discipline on the interfaces that shaping names, and its classes."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from excise.enforce import tc_wire as wire
from excise.enforce.lanes import Lane
from excise.enforce.tc_socket import TcSocket, error_for
from excise.errors import EnforceError


class Htb:
    """Holds the root of `interfaces`, as far as they are there and nobody else configured them.

    Every call blocks. `netns` names another network namespace. What the daemon of an earlier run
    left is known by its handle: it is replaced, or removed where shaping no longer names it.
    """

    def __init__(self, interfaces: Sequence[str], netns: str | None = None) -> None:
        self._interfaces = interfaces
        self._netns = netns
        self._socket: TcSocket | None = None
        #: interfaces that are ours now, with their numbers
        self.held: dict[str, int] = {}

    def open(self) -> None:
        """Take all interfaces. Raises EnforceError, and takes none, where one cannot be had."""
        self.close()
        self._socket = TcSocket(self._netns)
        try:
            self._do(wire.remove_root(q.index) for q in self._roots().values() if q.is_ours)
            for name in self._interfaces:
                self._take(name, self._roots())
        except EnforceError:
            self.restore()
            self.close()
            raise

    def restore(self) -> None:
        """Give every interface that is ours back to the kernel's default."""
        if self._socket is not None:
            self._do(wire.remove_root(q.index) for q in self._roots().values() if q.is_ours)
        self.held = {}

    def close(self) -> None:
        """Close the socket; what is held stays."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def put(self, lanes: Iterable[Lane], interfaces: Iterable[str] | None = None) -> None:
        """Make the lanes' classes, or change their rates; on all held interfaces by default.

        Where a discipline has just been taken away, `look` will find it missing.
        """
        indexes = [self.held[name] for name in (self.held if interfaces is None else interfaces)]
        requests = [
            wire.put_class(index, lane.minor, lane.element.rate)
            for lane in lanes
            for index in indexes
        ]
        self._do(requests, missing_is_fine=True)

    def remove(self, lanes: Iterable[Lane]) -> None:
        """Remove the lanes' classes; one that is gone already is no error."""
        requests = [
            wire.remove_class(index, lane.minor) for lane in lanes for index in self.held.values()
        ]
        self._do(requests, missing_is_fine=True)

    def look(self) -> tuple[list[str], dict[str, str]]:
        """See whether all is as it was made; take what is free again.

        Return the interfaces that were taken anew, whose classes are missing, and those that
        cannot be held, with the reason.
        """
        roots = self._roots()
        fresh: list[str] = []
        lost: dict[str, str] = {}
        for name in self._interfaces:
            index = self.held.get(name)
            root = roots.get(index) if index is not None else None
            if root is not None and root.is_ours and self._index(name) == index:
                continue
            self.held.pop(name, None)
            try:
                self._take(name, roots)
            except EnforceError as error:
                lost[name] = str(error)
            else:
                fresh.append(name)
        return fresh, lost

    def _take(self, name: str, roots: dict[int, wire.Qdisc]) -> None:
        index = self._index(name)
        root = roots.get(index) if index is not None else None
        if index is None:
            raise EnforceError(f"shaping: there is no interface {name}; correct nft.shaping")
        if root is not None and root.handle and not root.is_ours:
            handle = f"{root.handle >> 16:x}:"
            raise EnforceError(
                f"shaping: somebody configured {root.kind} {handle} on {name}, which excise leaves"
                f" alone; remove it with 'tc qdisc del dev {name} root', or leave {name} out of"
                " nft.shaping"
            )
        if root is None or not root.is_ours:
            self._do([wire.put_qdisc(index)])
        self.held[name] = index

    def _index(self, name: str) -> int | None:
        replies = self._open.ask(wire.ask_link(name))
        return wire.index_of(replies[0]) if replies else None

    def _roots(self) -> dict[int, wire.Qdisc]:
        return {q.index: q for q in wire.roots(self._open.ask(wire.ask_qdiscs()))}

    def _do(self, requests: Iterable[wire.Request], *, missing_is_fine: bool = False) -> None:
        asked = list(requests)
        for request, told in zip(asked, self._open.do(asked), strict=True):
            if told.errno and not (missing_is_fine and told.errno in {errno.ENOENT, errno.ENODEV}):
                raise error_for(told, request.type.name)

    @property
    def _open(self) -> TcSocket:
        if self._socket is None:
            raise EnforceError("shaping is not open: call open() first")
        return self._socket


def clear_leftovers() -> None:
    """Remove what a daemon that shaped left behind when it was killed."""
    htb = Htb(())
    try:
        htb.open()
    finally:
        htb.close()
