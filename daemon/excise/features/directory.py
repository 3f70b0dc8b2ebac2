"""The directory: from the names in a record to the rows of all tables.

A memo remembers the rows that go with (client, account, ja4, user agent), so that a record of a
known combination costs one look-up instead of five.
"""

from __future__ import annotations

import ipaddress

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import Interner, Rows
from excise.features.links import Links
from excise.model.asns import AsnTable
from excise.model.entity import Kind
from excise.model.settings import Capacity

Key = tuple[str, str, str, str]
#: columns of the memo
CLIENT, ACCOUNT, STACK, USE, LINK = range(5)
MEMO = 262_144


class Directory:
    """Owns the names of every kind, and what is kept of clients beside their table."""

    def __init__(self, capacity: Capacity) -> None:
        self.clients: Interner[str] = Interner(capacity.clients, "")
        self.subnets: Interner[str] = Interner(capacity.subnets, "")
        self.accounts: Interner[str] = Interner(capacity.accounts, "")
        self.stacks: Interner[str] = Interner(capacity.stacks, "")
        self.templates: Interner[str] = Interner(capacity.templates, "")
        self.uses: Interner[int] = Interner(capacity.uses, 0)
        #: the account of a use
        self.owner: Rows = np.zeros(self.uses.capacity + 1, dtype=np.int64)
        self.links = Links(capacity.links)
        rows = self.clients.capacity + 1
        #: subnets of a client: v4 /24 and 0, v6 /56 and /48; -1 where they must be found anew
        self.near: Rows = np.zeros(rows, dtype=np.int64)
        self.wide: Rows = np.zeros(rows, dtype=np.int64)
        self.network: NDArray[np.uint64] = np.zeros(rows, dtype=np.uint64)
        self.version: NDArray[np.uint8] = np.zeros(rows, dtype=np.uint8)
        self.asns: AsnTable | None = None
        self._uses_of: dict[int, list[int]] = {}
        self._memo: dict[Key, int] = {}
        self._memo_rows: Rows = np.zeros((MEMO, 5), dtype=np.int64)

    def interner(self, kind: Kind) -> Interner[str]:
        """Return the names of a kind (not of uses, whose names are made of two others)."""
        return {
            Kind.CLIENT: self.clients,
            Kind.SUBNET: self.subnets,
            Kind.ACCOUNT: self.accounts,
            Kind.STACK: self.stacks,
            Kind.TEMPLATE: self.templates,
        }[kind]

    def name(self, kind: Kind, row: int) -> str:
        """Return an entity's name: canonical CIDR, account id, `account via stack`, and so on."""
        if kind is not Kind.USE:
            return self.interner(kind).name(row)
        account, stack = divmod(self.uses.name(row), 1 << 32)
        return f"{self.accounts.name(account)} via {self.stacks.name(stack) or 'unknown stack'}"

    def systems(self, clients: Rows) -> Rows:
        """Return the autonomous systems of clients, 0 where there is no table, or none in it."""
        if self.asns is None:
            return np.zeros(len(clients), dtype=np.int64)
        return self.asns.lookup(self.network[clients], self.version[clients])

    def room(self) -> int:
        """Return how many records fit for certain; a v6 record may bring two subnets."""
        names = (self.clients, self.accounts, self.stacks, self.templates, self.uses, self.links)
        return min(self.subnets.room // 2, *(n.room for n in names))

    def find(self, keys: list[Key]) -> tuple[Rows, int]:
        """Return rows of records, shape (n, 5) in the memo's columns, and how many were taken.

        New names get rows. Fewer than all are taken when a table is full.
        """
        if len(self._memo) + len(keys) > MEMO:
            self._memo.clear()
        found = list(map(self._memo.get, keys))
        if None in found:
            for i, known in enumerate(found):
                if known is None:
                    place = self._memo.get(keys[i])
                    found[i] = place = self._enter(keys[i]) if place is None else place
                    if place is None:
                        return self._memo_rows[np.array(found[:i], dtype=np.int64)], i
        return self._memo_rows[np.array(found, dtype=np.int64)], len(keys)

    def _enter(self, key: Key) -> int | None:
        """Find or make the rows of a combination; return its place in the memo."""
        address, name, ja4, agent = key
        client = self._client(address)
        account, _ = self.accounts.one(name)
        stack, _ = self.stacks.one(f"{ja4} {agent}" if ja4 else agent)
        if client is None or account is None or stack is None:
            return None
        use, fresh = self.uses.one(account << 32 | stack if account else 0)
        if use is None:
            return None
        if fresh:
            self.owner[use] = account
            self._uses_of.setdefault(account, []).append(use)
        link = self.links.one(client, use)
        if link is None:
            return None
        place = self._memo[key] = len(self._memo)
        self._memo_rows[place] = client, account, stack, use, link
        return place

    def _client(self, address: str) -> int | None:
        """Return the row of a client's address, with its subnets; None if a table is full."""
        version, network = client_bits(address)
        row, fresh = self.clients.one(client_name(version, network))
        if row is None:
            return None
        if fresh:
            self.version[row], self.network[row] = version, network
            self.near[row] = self.wide[row] = -1
        if self.near[row] < 0:
            near, *wide = subnet_names(version, network)
            near_row, _ = self.subnets.one(near)
            wide_row, _ = self.subnets.one(wide[0]) if wide else (0, False)
            if near_row is None or wide_row is None:
                return None
            self.near[row], self.wide[row] = near_row, wide_row
        return row

    def uses_of(self, account: int) -> list[int]:
        """Return the use rows of an account."""
        return self._uses_of.get(account, [])

    def inside(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Rows:
        """Return the clients inside a network, live or once live."""
        bits, length = int(network.network_address), network.prefixlen
        if network.version == 6:
            bits, length = bits >> 64, min(length, 64)
        shift = np.uint64((32 if network.version == 4 else 64) - length)
        used = len(self.clients.keys)
        same = self.network[:used] >> shift == np.uint64(bits) >> shift
        rows: Rows = np.flatnonzero((self.version[:used] == network.version) & same)
        return rows

    def drop_uses(self, gone: Rows) -> None:
        """Forget uses, and their links."""
        for row in gone.tolist():
            siblings = self._uses_of.get(self.uses.name(row) >> 32, [])
            siblings.remove(row)
            if not siblings:
                self._uses_of.pop(self.uses.name(row) >> 32, None)
        self.uses.forget(gone.tolist())
        self.owner[gone] = 0
        self.links.forget_uses(gone)

    def uses_where(self, shift: int, gone: Rows) -> Rows:
        """Return uses whose account (shift 32) or stack (shift 0) is among some rows."""
        lost = set(gone.tolist())
        rows = [
            row
            for key, row in self.uses.rows.items()
            if row and (key >> shift & 0xFFFFFFFF) in lost
        ]
        return np.array(rows, dtype=np.int64)

    def orphan(self, subnets: Rows) -> None:
        """Let the clients of forgotten subnets find theirs anew."""
        lost = np.isin(self.near, subnets) | np.isin(self.wide, subnets)
        self.near[lost & (self.version > 0)] = -1

    def clear_memo(self) -> None:
        """Forget what was remembered: rows have changed hands."""
        self._memo.clear()

    def reindex(self) -> None:
        """Find out anew which uses each account has."""
        self._memo.clear()
        self._uses_of = {}
        self.owner[:] = 0
        for key, row in sorted(self.uses.rows.items(), key=lambda item: item[1]):
            if row:
                self.owner[row] = key >> 32
                self._uses_of.setdefault(key >> 32, []).append(row)


def client_bits(address: str) -> tuple[int, int]:
    """Return family and bits of a client: the v4 address, or the upper 64 bits of the v6 one."""
    if ":" in address:
        return 6, upper_half(address)
    a, b, c, d = map(int, address.split("."))
    return 4, a << 24 | b << 16 | c << 8 | d


def client_name(version: int, network: int) -> str:
    """Return the canonical CIDR of a client."""
    if version == 4:
        return f"{dotted(network)}/32"
    return f"{colons(network)}/64"


def subnet_names(version: int, network: int) -> list[str]:
    """Return the subnets of a client: the v4 /24, or the v6 /56 and /48 (RFC 6177 site sizes)."""
    if version == 4:
        return [f"{dotted(network >> 8 << 8)}/24"]
    return [
        f"{colons(network >> 8 << 8)}/56",
        f"{colons(network >> 16 << 16)}/48",
    ]


def dotted(bits: int) -> str:
    """Return a v4 address as text (`ipaddress` takes ten times as long)."""
    return f"{bits >> 24}.{bits >> 16 & 255}.{bits >> 8 & 255}.{bits & 255}"


def upper_half(address: str) -> int:
    """Return the upper 64 bits of a v6 address (`ipaddress` takes five times as long)."""
    if "." in address:
        return int(ipaddress.IPv6Address(address)) >> 64
    head, shortened, tail = address.partition("::")
    groups = head.split(":") if head else []
    if shortened:
        after = tail.split(":") if tail else []
        groups += ["0"] * (8 - len(groups) - len(after)) + after
    a, b, c, d = groups[:4]
    return int(a, 16) << 48 | int(b, 16) << 32 | int(c, 16) << 16 | int(d, 16)


def colons(upper: int) -> str:
    """Return a v6 address whose lower 64 bits are 0 as RFC 5952 has it.

    Its zeros at the end are the longest run, so they are what is shortened.
    """
    text = f"{upper >> 48:x}:{upper >> 32 & 0xFFFF:x}:{upper >> 16 & 0xFFFF:x}:{upper & 0xFFFF:x}"
    while text.endswith(":0"):
        text = text[:-2]
    return f"{text}::" if text != "0" else "::"
