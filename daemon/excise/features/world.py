"""All tables together: which rows a record touches, forgetting, and time's passing.

Forgetting. A table that is 95 % full forgets down to 75 %: first rows nobody holds on to, the
least established first (fewest requests, then idle longest). An attacker who rotates addresses
makes rows of one or two requests, so those push out each other, never a client with a history;
rows under evidence or a decision are `held` and go last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from excise.features.batch import Batch
from excise.features.conduct import Conduct
from excise.features.dialogues import Read
from excise.features.directory import ACCOUNT, CLIENT, LINK, STACK, USE, Directory
from excise.features.interner import LOW_WATER, Interner, Rows
from excise.features.proxies import Proxies
from excise.features.signals import Signals
from excise.features.sketch import Elements, elements, slots
from excise.features.state import (
    DAY,
    HALF_LIVES,
    LEDGER,
    SHARED,
    WIDTH,
    Added,
    Column,
    Matrix,
    Moment,
    Table,
)
from excise.features.table import HALF_LIVES_S
from excise.model.entity import Kind
from excise.model.settings import Capacity

GENERATION_S = 43_200.0
#: 4 h: 2^240 for the shortest half-life, far inside a double, and an exact power of two
LANDMARK_S = 14_400.0
ALWAYS_EXACT = frozenset({Kind.CLIENT, Kind.SUBNET, Kind.USE})


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of one pass.

    `moments` are the exact kinds'; `subnet_at` gives, for each row of the subnets' moment, the
    record it stems from. `read`: what the prompts say.
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
    account: Rows
    read: Read

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
        self.directory = Directory(capacity)
        self.clients, self.subnets = self.directory.clients, self.directory.subnets
        self.accounts, self.uses = self.directory.accounts, self.directory.uses
        self.links = self.directory.links
        self.near, self.wide = self.directory.near, self.directory.wide
        self.network, self.version = self.directory.network, self.directory.version
        self.proxies = Proxies()
        self.conduct = Conduct(capacity)
        self.signals = Signals()
        #: names of campaigns by number, kept by who links them
        self.campaigns: dict[int, str] = {}
        self.exact = ALWAYS_EXACT
        self.landmark = 0.0
        self.generation = 0.0

    # Names

    def interner(self, kind: Kind) -> Interner[str]:
        """Return the names of a kind (not of uses, whose names are made of two others)."""
        return self.directory.interner(kind)

    def name(self, kind: Kind, row: int) -> str:
        """Return an entity's name: canonical CIDR, account id, `account via stack`, and so on."""
        return self.campaigns[row] if kind is Kind.CAMPAIGN else self.directory.name(kind, row)

    def used(self, kind: Kind) -> int:
        """Return how many rows from the first have ever been used."""
        return len(self.uses.keys if kind is Kind.USE else self.interner(kind).keys)

    def size(self, kind: Kind) -> tuple[int, int, int]:
        """Return rows in use, capacity and rows forgotten of a kind."""
        names: Interner[str] | Interner[int]
        names = self.uses if kind is Kind.USE else self.interner(kind)
        return len(names) - 1, names.capacity, names.evicted

    def use_owner(self, row: int) -> int:
        """Return the account row of a use."""
        return self.uses.name(row) >> 32

    def uses_of(self, account: int) -> list[int]:
        """Return the use rows of an account."""
        return self.directory.uses_of(account)

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
        end = min(span.end, begin + max(1, self.directory.room()))
        found, n1 = self.directory.find(batch.keys[begin:end])
        template, _, n2 = self.directory.templates.intern(batch.template[begin:end])
        n = min(n1, n2)
        if n == 0:
            self._forget_full()
            return None
        rows = {
            Kind.CLIENT: found[:n, CLIENT],
            Kind.ACCOUNT: found[:n, ACCOUNT],
            Kind.USE: found[:n, USE],
            Kind.STACK: found[:n, STACK],
            Kind.TEMPLATE: template[:n],
        }
        return self._numbers(batch, rows, found[:n, LINK], span)

    def _numbers(self, batch: Batch, rows: dict[Kind, Rows], link: Rows, span: Span) -> Piece:
        at = slice(span.begin, span.begin + len(link))
        ts, clock = span.ts[at], span.clock[at]
        if batch.peers is not None:
            self.proxies.see(batch.peers[at], clock)
        weights = np.exp2((ts - self.landmark)[:, None] / HALF_LIVES)
        shared = weighted(batch, at, weights)
        client, account = rows[Kind.CLIENT], rows[Kind.ACCOUNT]
        near, wide = self.near[client], self.wide[client]
        self.signals.note(batch, at)
        read = self.conduct.absorb(
            batch, at, account, self.places(client), ts,
            weight=weights[:, DAY], asns=self.directory.asns,
        )  # fmt: skip
        self.conduct.habits.absorb(batch, at, account, ts, clock, weights=weights)
        seen = self._elements(rows, near, wide, ts)
        seen["prompts"] = elements(slots(read.whole), read.known)
        input_ = Added(ts, weights, shared, seen, batch.timed(at))
        # A v6 record counts in two subnets, its /56 and its /48: in both, one after the other.
        wide_at = np.flatnonzero(wide)
        twice = np.concatenate((np.arange(len(ts)), wide_at))
        order = np.argsort(twice, kind="stable")
        twice, subnet = twice[order], np.concatenate((near, wide[wide_at]))[order]
        moments: dict[Kind, Moment] = {}
        for kind, of_kind in (rows | {Kind.SUBNET: subnet}).items():
            source = twice if kind is Kind.SUBNET else None
            self._see(kind, of_kind, ts if source is None else ts[source])
            if kind in self.exact:
                moments[kind] = self.tables[kind].moment(of_kind, input_, source)
            else:
                self.tables[kind].absorb(of_kind, input_)
        requests, output, errors = shared[:, 2], shared[:, 8], shared[:, 14]  # half-life 24 h
        return Piece(
            ts,
            clock,
            weights,
            moments,
            client,
            rows[Kind.USE],
            twice,
            link,
            np.stack((requests, output, requests - errors), axis=1),
            account,
            read,
        )

    def places(self, client: Rows) -> NDArray[np.uint64]:
        """Return clients as numbers that outlive their rows: the v4 address, or the v6 /64."""
        places: NDArray[np.uint64] = self.network[client] << np.uint64(1)
        places[self.version[client] == 6] |= np.uint64(1)
        return places

    def sites(self, client: Rows) -> NDArray[np.uint64]:
        """Return the sites of clients as numbers: the v4 /24, or the v6 /48."""
        six = self.version[client] == 6
        network = self.network[client]
        v6: NDArray[np.uint64] = (network >> np.uint64(16)) << np.uint64(8) | np.uint64(6)
        return np.where(six, v6, (network >> np.uint64(8)) << np.uint64(8) | np.uint64(4))

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
    ) -> dict[str, Elements]:
        subnet = np.where(wide > 0, wide, near)
        named = {
            "clients": rows[Kind.CLIENT],
            "accounts": rows[Kind.ACCOUNT],
            "templates": rows[Kind.TEMPLATE],
            "subnets": subnet,
        }
        hour = (ts // 3600 % 24).astype(np.int64)
        seen = {name: elements(slots(of), of > 0) for name, of in named.items()}
        return seen | {"active_hours": elements(hour, np.ones(len(ts), dtype=bool))}

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
            self.conduct.habits.turn(self.used(Kind.ACCOUNT))
            skipped = (now - self.generation) // GENERATION_S - turns
            self.generation += GENERATION_S * (1 + (skipped if turns == 2 else 0))

    def _rescale(self, seconds: float) -> None:
        self.landmark += seconds
        for kind, table in self.tables.items():
            table.rescale(seconds, self.used(kind))
        self.links.rescale(seconds)
        self.conduct.rescale(seconds, self.used(Kind.ACCOUNT))

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back: the state keeps its age, in the new time."""
        self.landmark -= seconds
        self.generation -= seconds
        for table in self.tables.values():
            table.shift(seconds)
        self.links.shift(seconds)
        self.proxies.step_back(seconds)
        self.conduct.shift(seconds)

    def decayed(self, column: str, kind: Kind, rows: Rows, now: float) -> Column:
        """Return a committed column of rows as it stands at `now`."""
        table = self.tables[kind]
        at = table.index[column]
        value: Column = table.sums[rows, at]
        h = table.decay[at]
        return value if h < 0 else value * 2.0 ** (-(now - self.landmark) / HALF_LIVES[h])

    # Forgetting

    def _forget_full(self) -> None:
        self.directory.clear_memo()
        if self.clients.full:
            self.links.forget_clients(self._forget(Kind.CLIENT, self.clients))
        if self.accounts.full:
            self._drop_uses(
                self.directory.uses_where(32, self._forget(Kind.ACCOUNT, self.accounts))
            )
        if self.directory.stacks.full:
            self._drop_uses(
                self.directory.uses_where(0, self._forget(Kind.STACK, self.directory.stacks))
            )
        if self.uses.full:
            self._drop_uses(self._least(Kind.USE, self.uses))
        if self.directory.templates.full:
            self._forget(Kind.TEMPLATE, self.directory.templates)
        if self.subnets.full:
            self.directory.orphan(self._forget(Kind.SUBNET, self.subnets))
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
        if kind is Kind.ACCOUNT:
            self.conduct.forget(gone)
        self._forgotten(kind, gone)

    def _drop_uses(self, gone: Rows) -> None:
        self.directory.drop_uses(gone)
        self._clear(Kind.USE, gone)


def weighted(batch: Batch, at: slice, weights: Matrix) -> Matrix:
    """Return the shared columns of records, weighted, with zeros up to the widest table's width."""
    columns = np.zeros((len(weights), WIDTH))
    sums, w1, w2 = batch.sums[at], weights[:, 1], weights[:, 2]
    halves = len(HALF_LIVES_S)
    for h in range(halves):
        np.multiply(sums, weights[:, h, None], out=columns[:, h : halves * sums.shape[1] : halves])
    log_output = batch.log_output[at]
    extra = (
        batch.plaintext[at] * w1,
        batch.direct[at] * w2,
        batch.unbelieved[at] * w1,
        batch.llm[at] * w2,
        batch.log_input[at] * w2,
        log_output * w2,
        log_output * log_output * w2,
        batch.sweep[at] * w2,
        sums[:, 2] * weights[:, LEDGER],
    )
    columns[:, len(SHARED) - len(extra) : len(SHARED)] = np.stack(extra, axis=1)
    return columns
