"""All tables together: which rows a record touches, forgetting, and time's passing.

Forgetting. A table that is 95 % full forgets down to 75 %: first rows nobody holds on to, the
least established first (fewest requests, then idle longest). An attacker who rotates addresses
makes rows of one or two requests, so those push out each other, never a client with a history;
rows under evidence or a decision are `held` and go last.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from excise.features.batch import Batch
from excise.features.interner import LOW_WATER, Interner, Rows
from excise.features.links import Links
from excise.features.sketch import slots
from excise.features.state import HALF_LIVES, Added, Column, Matrix, Moment, Table
from excise.model.entity import Kind
from excise.model.settings import Capacity

GENERATION_S = 43_200.0
#: 4 h: 2^240 for the shortest half-life, far inside a double, and an exact power of two
LANDMARK_S = 14_400.0
_NO_ROW = -1
ALWAYS_EXACT = frozenset({Kind.CLIENT, Kind.SUBNET, Kind.USE})


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of one pass. `moments` are the exact kinds'; `subnet_at` gives, for each row of the
    subnets' moment, the record it stems from.
    """

    ts: Column
    clock: Column
    weights: Matrix
    moments: dict[Kind, Moment]
    client: Rows
    use: Rows
    subnet_at: Rows
    link_rows: Rows
    link_added: Matrix

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class Span:
    """Records begin..end of a batch, with the time stamps and the clock of the whole batch."""

    ts: Column
    clock: Column
    begin: int
    end: int


class World:
    """Owns every table, and the landmark and generation they share.

    Kinds in `exact` are known after every record and committed up to where a decision needs them
    (clients, subnets and uses always are); the others are brought up to date a piece at a time.
    """

    def __init__(
        self,
        capacity: Capacity,
        held: Callable[[Kind], Rows],
        forgotten: Callable[[Kind, Rows], None],
    ) -> None:
        self._held, self._forgotten = held, forgotten
        sizes = {
            Kind.CLIENT: capacity.clients,
            Kind.SUBNET: capacity.subnets,
            Kind.ACCOUNT: capacity.accounts,
            Kind.USE: capacity.uses,
            Kind.STACK: capacity.stacks,
            Kind.TEMPLATE: capacity.templates,
        }
        self.tables = {kind: Table(kind, max(16, size) + 1) for kind, size in sizes.items()}
        self.clients: Interner[str] = Interner(sizes[Kind.CLIENT], "")
        self.subnets: Interner[str] = Interner(sizes[Kind.SUBNET], "")
        self.accounts: Interner[str] = Interner(sizes[Kind.ACCOUNT], "")
        self.stacks: Interner[str] = Interner(sizes[Kind.STACK], "")
        self.templates: Interner[str] = Interner(sizes[Kind.TEMPLATE], "")
        self.uses: Interner[int] = Interner(sizes[Kind.USE], 0)
        self.links = Links(capacity.links)
        self.exact = ALWAYS_EXACT
        self.near: Rows = np.zeros(self.tables[Kind.CLIENT].capacity, dtype=np.int64)
        self.wide: Rows = np.zeros_like(self.near)
        self.network: NDArray[np.uint64] = np.zeros(len(self.near), dtype=np.uint64)
        self.version: NDArray[np.uint8] = np.zeros(len(self.near), dtype=np.uint8)
        self.landmark = 0.0
        self.generation = 0.0
        self._aliases: dict[str, int] = {"": 0}
        self._uses_of: dict[int, list[int]] = {}

    # Names

    def interner(self, kind: Kind) -> Interner[str]:
        """Return the names of a kind (not of uses, whose names are made of two others)."""
        return {
            Kind.CLIENT: self.clients,
            Kind.SUBNET: self.subnets,
            Kind.ACCOUNT: self.accounts,
            Kind.STACK: self.stacks,
            Kind.TEMPLATE: self.templates,
        }[kind]

    def used(self, kind: Kind) -> int:
        """Return how many rows from the first have ever been used."""
        return len(self.uses.keys if kind is Kind.USE else self.interner(kind).keys)

    def size(self, kind: Kind) -> tuple[int, int, int]:
        """Return rows in use, capacity and rows forgotten of a kind."""
        names: Interner[str] | Interner[int]
        names = self.uses if kind is Kind.USE else self.interner(kind)
        return len(names) - 1, names.capacity, names.evicted

    def name(self, kind: Kind, row: int) -> str:
        """Return an entity's name: canonical CIDR, account id, `account via stack`, …"""
        if kind is not Kind.USE:
            return self.interner(kind).name(row)
        account, stack = divmod(self.uses.name(row), 1 << 32)
        return f"{self.accounts.name(account)} via {self.stacks.name(stack) or 'unknown stack'}"

    def inside(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Rows:
        """Return the clients inside a network, live or once live."""
        bits, length = int(network.network_address), network.prefixlen
        if network.version == 6:
            bits, length = bits >> 64, min(length, 64)
        shift = np.uint64((32 if network.version == 4 else 64) - length)
        same = self.network >> shift == np.uint64(bits) >> shift
        rows: Rows = np.flatnonzero((self.version == network.version) & same)
        return rows

    def use_owner(self, row: int) -> int:
        """Return the account row of a use."""
        return self.uses.name(row) >> 32

    def uses_of(self, account: int) -> list[int]:
        """Return the use rows of an account."""
        return self._uses_of.get(account, [])

    def index_uses(self) -> None:
        """Find out anew which uses each account has."""
        self._aliases = {"": 0}
        self._uses_of = {}
        for key, row in sorted(self.uses.rows.items(), key=lambda item: item[1]):
            if row:
                self._uses_of.setdefault(key >> 32, []).append(row)

    def client_columns(self) -> dict[str, NDArray[np.generic]]:
        """Return what is kept of clients beside their table, for storing."""
        return {
            "near": self.near,
            "wide": self.wide,
            "network": self.network,
            "version": self.version,
        }

    def fade(self, now: float) -> float:
        """Return by what a stored 24 h sum is multiplied to stand at `now`."""
        return float(2.0 ** (-(now - self.landmark) / HALF_LIVES[2]))

    # A pass

    def take(self, batch: Batch, span: Span) -> Piece | None:
        """Find the rows of a span's records and their numbers; fewer if a table filled up.

        None says that a table was full at the first record: it has forgotten now, come again.
        No more are taken than there is room for, so that a table forgets at the very record that
        needs a row, with nothing in it of records still to come.
        """
        begin = span.begin
        end = min(span.end, begin + max(1, self._room()))
        client, n1 = self._client_rows(batch.client[begin:end])
        account, _, n2 = self.accounts.intern(batch.account[begin:end])
        stack, _, n3 = self.stacks.intern(batch.stack[begin:end])
        template, _, n4 = self.templates.intern(batch.template[begin:end])
        n = min(n1, n2, n3, n4)
        use, fresh, n5 = self.uses.intern(self._use_keys(account[:n], stack[:n]))
        for i in fresh:
            self._uses_of.setdefault(int(account[i]), []).append(int(use[i]))
        n6 = self._subnet_rows(client[:n5])
        n = min(n5, n6)
        link, n7 = self.links.intern(client[:n], use[:n])
        n = min(n, n7)
        if n == 0:
            self._forget_full()
            return None
        rows = {
            Kind.CLIENT: client[:n],
            Kind.ACCOUNT: account[:n],
            Kind.USE: use[:n],
            Kind.STACK: stack[:n],
            Kind.TEMPLATE: template[:n],
        }
        return self._numbers(batch, rows, link[:n], span)

    def _room(self) -> int:
        """Return how many records fit for certain; a v6 record may bring two subnets."""
        names = (self.clients, self.accounts, self.stacks, self.templates, self.uses, self.links)
        return min(self.subnets.room // 2, *(n.room for n in names))

    def _client_rows(self, names: list[str]) -> tuple[Rows, int]:
        found = list(map(self._aliases.get, names))
        if None not in found:
            return np.array(found, dtype=np.int64), len(names)
        if len(self._aliases) > 4 * self.clients.capacity:
            self._aliases = {"": 0}
        for i, known in enumerate(found):
            if known is None:
                row = self._client_row(names[i])
                if row is None:
                    return np.array(found[:i], dtype=np.int64), i
                found[i] = row
        return np.array(found, dtype=np.int64), len(names)

    def _client_row(self, address: str) -> int | None:
        """Return the row of a client's address, None if the table is full."""
        row = self._aliases.get(address)
        if row is not None:
            return row
        version, network = client_bits(address)
        row, fresh = self.clients.one(client_name(version, network))
        if row is not None:
            self._aliases[address] = row
            if fresh:
                self.version[row], self.network[row] = version, network
                self.near[row] = self.wide[row] = _NO_ROW
        return row

    def _subnet_rows(self, clients: Rows) -> int:
        """Make sure that the clients' subnets have rows; return how many clients have."""
        if not len(clients) or (self.near[clients] >= 0).all():
            return len(clients)
        for i in np.flatnonzero(self.near[clients] < 0).tolist():
            row = int(clients[i])
            if self.near[row] >= 0:
                continue
            near, *wide = subnet_names(int(self.version[row]), int(self.network[row]))
            near_row, _ = self.subnets.one(near)
            wide_row, _ = self.subnets.one(wide[0]) if wide else (0, False)
            if near_row is None or wide_row is None:
                return i
            self.near[row], self.wide[row] = near_row, wide_row
        return len(clients)

    @staticmethod
    def _use_keys(account: Rows, stack: Rows) -> list[int]:
        keys: list[int] = np.where(account > 0, account << 32 | stack, 0).tolist()
        return keys

    def _numbers(self, batch: Batch, rows: dict[Kind, Rows], link: Rows, span: Span) -> Piece:
        at = slice(span.begin, span.begin + len(link))
        ts, clock = span.ts[at], span.clock[at]
        weights = np.exp2((ts - self.landmark)[:, None] / HALF_LIVES)
        shared = weighted(batch, at, weights)
        client = rows[Kind.CLIENT]
        near, wide = self.near[client], self.wide[client]
        input_ = Added(ts, weights, shared, self._elements(rows, near, wide, ts))
        # A v6 record counts in two subnets, its /56 and its /48: in both, one after the other.
        wide_at = np.flatnonzero(wide)
        twice = np.concatenate((np.arange(len(ts)), wide_at))
        order = np.argsort(twice, kind="stable")
        twice, subnet = twice[order], np.concatenate((near, wide[wide_at]))[order]
        moments: dict[Kind, Moment] = {}
        for kind, of_kind in (rows | {Kind.SUBNET: subnet}).items():
            numbers = input_.take(twice) if kind is Kind.SUBNET else input_
            self._see(kind, of_kind, numbers.ts)
            if kind in self.exact:
                moments[kind] = self.tables[kind].moment(of_kind, numbers)
            else:
                self.tables[kind].absorb(of_kind, numbers)
        link_added = shared[:, [2, 8]]  # requests and output tokens, half-life 24 h
        return Piece(ts, clock, weights, moments, client, rows[Kind.USE], twice, link, link_added)

    def _see(self, kind: Kind, rows: Rows, ts: Column) -> None:
        """Note when rows that are new were first seen."""
        table = self.tables[kind]
        unseen = table.first[rows] == 0
        if unseen.any():
            at = np.flatnonzero(unseen)
            born, first = np.unique(rows[at], return_index=True)
            table.born(born, ts[at[first]])

    def _elements(
        self, rows: dict[Kind, Rows], near: Rows, wide: Rows, ts: Column
    ) -> dict[str, tuple[Rows, NDArray[np.bool_]]]:
        subnet = np.where(wide > 0, wide, near)
        named = {
            "clients": rows[Kind.CLIENT],
            "accounts": rows[Kind.ACCOUNT],
            "templates": rows[Kind.TEMPLATE],
            "subnets": subnet,
        }
        hour = (ts // 3600 % 24).astype(np.int64)
        elements = {name: (slots(of), of > 0) for name, of in named.items()}
        return elements | {"active_hours": (hour, np.ones(len(ts), dtype=bool))}

    def commit(self, piece: Piece, begin: int, end: int) -> None:
        """Make records begin..end of a piece part of the state."""
        if begin >= end:
            return
        for kind, moment in piece.moments.items():
            if kind is Kind.SUBNET:
                a, b = np.searchsorted(piece.subnet_at, (begin, end))
                self.tables[kind].commit(moment, piece.ts[piece.subnet_at], int(a), int(b))
            else:
                self.tables[kind].commit(moment, piece.ts, begin, end)
        self.links.add(piece.link_rows[begin:end], piece.link_added[begin:end], piece.ts[begin:end])

    # Time

    def start(self, now: float) -> None:
        """Set the landmark and the generation at the first record."""
        self.landmark = now // LANDMARK_S * LANDMARK_S
        self.generation = now // GENERATION_S * GENERATION_S

    def advance(self, now: float) -> None:
        """Move landmark and generation along; called on a grid of event time."""
        moved = now // LANDMARK_S * LANDMARK_S - self.landmark
        if moved > 0:
            self._rescale(moved)
        while now >= self.generation + GENERATION_S:
            turns = min(2, int((now - self.generation) // GENERATION_S))
            for kind, table in self.tables.items():
                table.turn(self.used(kind))
            skipped = (now - self.generation) // GENERATION_S - turns
            self.generation += GENERATION_S * (1 + (skipped if turns == 2 else 0))

    def _rescale(self, seconds: float) -> None:
        self.landmark += seconds
        for kind, table in self.tables.items():
            table.rescale(seconds, self.used(kind))
        self.links.rescale(seconds)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back: the state keeps its age, in the new time."""
        self.landmark -= seconds
        self.generation -= seconds
        for table in self.tables.values():
            table.shift(seconds)
        self.links.shift(seconds)

    def decayed(self, column: str, kind: Kind, rows: Rows, now: float) -> Column:
        """Return a committed column of rows as it stands at `now`."""
        table = self.tables[kind]
        at = table.index[column]
        value: Column = table.sums[rows, at]
        h = table.decay[at]
        return value if h < 0 else value * 2.0 ** (-(now - self.landmark) / HALF_LIVES[h])

    # Forgetting

    def _forget_full(self) -> None:
        if self.clients.full:
            gone = self._forget(Kind.CLIENT, self.clients)
            self._aliases = {"": 0}
            self.links.forget_clients(gone)
        if self.accounts.full:
            self._drop_uses(self._uses_where(32, self._forget(Kind.ACCOUNT, self.accounts)))
        if self.stacks.full:
            self._drop_uses(self._uses_where(0, self._forget(Kind.STACK, self.stacks)))
        if self.uses.full:
            self._drop_uses(self._least(Kind.USE, self.uses))
        if self.templates.full:
            self._forget(Kind.TEMPLATE, self.templates)
        if self.subnets.full:
            gone = self._forget(Kind.SUBNET, self.subnets)
            orphans = np.isin(self.near, gone) | np.isin(self.wide, gone)
            self.near[orphans] = _NO_ROW
        if self.links.full:
            self.links.forget()

    def _forget(self, kind: Kind, names: Interner[str]) -> Rows:
        """Forget the least established rows of a table down to the low water mark."""
        gone = self._least(kind, names)
        names.forget(gone.tolist())
        self._clear(kind, gone)
        return gone

    def _least(self, kind: Kind, names: Interner[str] | Interner[int]) -> Rows:
        table = self.tables[kind]
        live = np.fromiter(names.rows.values(), dtype=np.int64, count=len(names))
        live = live[live > 0]
        surplus = max(0, len(live) - int(names.capacity * LOW_WATER))
        held = np.isin(live, self._held(kind))
        total = table.sums[live, table.index["total"]]
        # Octaves of the request count first, so that a week-old regular is not out-ranked by
        # a flood of rows that made one request more; then the idlest.
        octave = np.floor(np.log2(np.maximum(total, 1.0)))
        order = np.lexsort((table.last[live], octave, held))
        gone: Rows = live[order[:surplus]]
        return gone

    def _clear(self, kind: Kind, gone: Rows) -> None:
        self.tables[kind].clear(gone)
        self._forgotten(kind, gone)

    def _uses_where(self, shift: int, gone: Rows) -> Rows:
        """Return uses whose account (shift 32) or stack (shift 0) was forgotten."""
        lost = set(gone.tolist())
        rows = [
            row
            for key, row in self.uses.rows.items()
            if row and (key >> shift & 0xFFFFFFFF) in lost
        ]
        return np.array(rows, dtype=np.int64)

    def _drop_uses(self, gone: Rows) -> None:
        for row in gone.tolist():
            siblings = self._uses_of.get(self.uses.name(row) >> 32, [])
            siblings.remove(row)
            if not siblings:
                self._uses_of.pop(self.uses.name(row) >> 32, None)
        self.uses.forget(gone.tolist())
        self._clear(Kind.USE, gone)
        self.links.forget_uses(gone)


def weighted(batch: Batch, at: slice, weights: Matrix) -> Matrix:
    """Return the shared columns of records, weighted, shape (n, len(SHARED))."""
    n = len(weights)
    sums = (batch.sums[at][:, :, None] * weights[:, None, :]).reshape(n, -1)
    w1, w2 = weights[:, 1], weights[:, 2]
    log_output = batch.log_output[at]
    extra = (
        batch.plaintext[at] * w1,
        batch.direct[at] * w2,
        batch.llm[at] * w2,
        batch.log_input[at] * w2,
        log_output * w2,
        log_output * log_output * w2,
    )
    return np.concatenate((sums, np.stack(extra, axis=1)), axis=1)


def client_bits(address: str) -> tuple[int, int]:
    """Return family and bits of a client: the v4 address, or the upper 64 bits of the v6 one."""
    if ":" in address:
        return 6, int(ipaddress.IPv6Address(address)) >> 64
    return 4, int(ipaddress.IPv4Address(address))


def client_name(version: int, network: int) -> str:
    """Return the canonical CIDR of a client."""
    if version == 4:
        return f"{ipaddress.IPv4Address(network)}/32"
    return f"{ipaddress.IPv6Address(network << 64)}/64"


def subnet_names(version: int, network: int) -> list[str]:
    """Return the subnets of a client: the v4 /24, or the v6 /56 and /48 (RFC 6177 site sizes)."""
    if version == 4:
        return [f"{ipaddress.IPv4Address(network >> 8 << 8)}/24"]
    return [
        f"{ipaddress.IPv6Address(network >> 8 << 72)}/56",
        f"{ipaddress.IPv6Address(network >> 16 << 80)}/48",
    ]
