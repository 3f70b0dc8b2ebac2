"""One line's slots to a record: who the client is, whose account, and when it ended.

This is the careful way, one line at a time, with the reason for a reject. `columns` does the same
for many ordinary lines at once; both must tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from excise.decode import slots
from excise.decode.address import Addresses, endpoint
from excise.decode.base import DecodeContext, LineRejectedError
from excise.decode.fields import FIELDS, build, known, timestamp
from excise.decode.readers import text_or_reject
from excise.decode.request import split_request, without_query
from excise.decode.trust import UNIX, Told
from excise.model.record import Record

#: what a line says of its origin: what `settle` takes, in order
ORIGIN = (
    slots.REMOTE,
    slots.SOCKET,
    slots.PROXY_PROTOCOL,
    slots.FORWARDED_FOR,
    slots.FORWARDED,
    slots.BEHIND,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who a request came from; `client` is `""` where a line does not say.

    `port` stood beside the address. The ports that stand elsewhere are the client's if it is the
    socket's peer (`own`), or whom the gateway names (`named`).
    """

    client: str
    peer: str
    port: str = ""
    own: bool = False
    named: bool = False
    unbelieved_hops: int = -1

    def pick(self, remote_port: object, socket_port: object) -> object:
        """Return the client's port among those that a line tells."""
        if not (self.own or self.named):
            return None
        ports = remote_port, self.port, socket_port if self.own else None
        return next(filter(known, ports), None)


class Assembler:
    """Settles slots. Keeps what it found out about addresses, bounded."""

    def __init__(self, context: DecodeContext) -> None:
        self.context = context
        self.addresses = Addresses()
        self.proxies = context.proxies()

    def record(self, raw: dict[str, object]) -> tuple[Record, int]:
        """Return the record of known values by slot, and how many of them were ignored.

        Raises LineRejectedError with `missing:`, `type:`, `range:` or `address:` and the field.
        """
        fields = {name: value for name, value in raw.items() if name not in slots.JOINT}
        if "client" not in fields:
            fields |= self._origin(raw)
        elif slots.SOCKET in raw or slots.REMOTE in raw:
            socket = raw.get(slots.SOCKET) or raw.get(slots.REMOTE)
            fields.setdefault("peer", self._address(socket, "peer")[0])
        if "account" not in fields and slots.CLAIM in raw:
            claim = text_or_reject("account", raw[slots.CLAIM])
            status = FIELDS["status"](fields.get("status"))  # 0401 and 401.0 are 401
            fields["account"] = self.context.account(claim, str(status))
        if slots.REQUEST in raw and "method" not in fields and "path" not in fields:
            request = text_or_reject("path", raw[slots.REQUEST])
            fields["method"], fields["path"] = split_request(request)
        fields["path"] = without_query(fields.get("path"))
        if "ts" not in fields and slots.START in raw:
            fields["ts"] = _end(raw[slots.START], fields.get("duration"))
        return build(fields, self.addresses)

    def _origin(self, raw: Mapping[str, object]) -> dict[str, object]:
        """Return client, peer and client port, as far as a line tells them."""
        origin = self.settle(map(raw.get, ORIGIN))
        found: dict[str, object] = {"client": origin.client, "peer": origin.peer}
        found["unbelieved_hops"] = None if origin.unbelieved_hops < 0 else origin.unbelieved_hops
        port = origin.pick(raw.get(slots.REMOTE_PORT), raw.get(slots.SOCKET_PORT))
        if port is None and origin.client == raw.get(slots.PROXY_PROTOCOL):
            port = raw.get(slots.PROXY_PROTOCOL_PORT)
        return found | {"client_port": port}

    def settle(self, said: Iterable[object]) -> Origin:
        """Return the origin of what a line says, in the order of `ORIGIN`; None: it is not said.

        Raises LineRejectedError where there is something that is no address, or none to believe.
        """
        remote, socket, proxy_protocol, forwarded_for, forwarded, behind = said
        named, port = self._address(remote, "client")
        peer, peer_port = self._address(socket, "peer")
        told = Told(
            named,
            text_or_reject("peer", proxy_protocol),
            text_or_reject("peer", forwarded_for),
            text_or_reject("peer", forwarded),
            behind=bool(behind),
        )
        if not (named or told.forwarded_for or told.forwarded):
            return Origin("", peer)
        client, next_to_us = self.proxies.find(told)
        if not client:
            raise LineRejectedError("address:client")
        if peer == UNIX and not self.context.trusted_unix:
            raise LineRejectedError("address:peer")
        if peer and peer != UNIX:
            next_to_us = "" if peer == client else peer
        own = client == (peer or named)
        beside = port if client == named else peer_port if own else ""
        beside = "" if beside == "0" else beside  # an address out of a header has no port
        # A gateway that tells the peer apart has looked at the header itself.
        hops = 0 if peer and peer != named else self.proxies.unbelieved(told)
        return Origin(client, next_to_us, beside, own, client == named, hops or -1)

    def _address(self, value: object, field: str) -> tuple[str, str]:
        """Return (address, port) of a value. Raises LineRejectedError unless it is not known."""
        text = text_or_reject(field, value)
        if not text or text.startswith(UNIX):
            return (UNIX if text else ""), ""
        if address := self.addresses.canonical(text):
            return address, ""
        address, port = endpoint(text)
        if not address:
            raise LineRejectedError(f"address:{field}")
        return address, port


def _end(start: object, duration: object) -> float | None:
    begun = timestamp(start)
    if begun is None:
        return None
    took = FIELDS["duration"](duration)
    return begun + took if isinstance(took, float) else begun
