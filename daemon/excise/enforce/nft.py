"""The nftables backend: says what `nft_layout` describes, over `nft_socket`, and reads it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

from excise.decide.holding import Holding
from excise.decide.plan import (
    ActiveSet,
    ChangeSet,
    Desired,
    Element,
    plan,
)
from excise.decide.span import Span, merged
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.base import Counters, Totals, Witnessed
from excise.enforce.nft_audit import NftAudit
from excise.enforce.nft_check import (
    Ruleset,
    rules_intact,
    ruleset_of,
    sets_intact,
    tables_intact,
    tables_orphaned,
)
from excise.enforce.nft_reader import Look, NftReader
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_tally import OURS, Shelf, lacks, shelf
from excise.enforce.nft_wire import Message, transactions
from excise.errors import DivergedError, EnforceError, UnsupportedError

#: a transaction holds up everybody else's: about 8,000 addresses, 10 to 30 ms
TRANSACTION_BYTES = 320 << 10
#: of more additions than this, so many are read back, and the sets' counts compared
SAMPLE = 500
#: transactions larger than this are not told to our own listener
AUDIT_BYTES = 1 << 15
#: of more entries than this, what the kernel holds is not read: a dump's time grows as the square
READ_MOST = 300_000
READ_TRIES = 3


class Nftables:
    """An Enforcer on nftables tables `ip excise` and `ip6 excise`.

    With `owner` nobody else can change or flush them while the daemon runs, an administrator's
    nft(8) included. With `audit` it listens for who else changes them. `netns` names another
    network namespace, `clock` gives epoch seconds.
    """

    name = "nftables"

    def __init__(
        self,
        *,
        owner: bool = False,
        audit: bool = False,
        netns: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._flags = layout.OWNER | layout.PERSIST if owner else 0
        self._audits = audit
        self._audit: NftAudit | None = None
        self._deaf = ""
        self._netns = netns
        self._clock = clock
        self._lock = threading.RLock()
        self._opened: NftSocket | None = None
        #: None: not known
        self._held: Holding[Shelf] | None = None
        self._allow: list[Span] = []
        self._ports: list[int] = []
        self._generation = 0
        self._made = self._expected()
        #: whether our tables ought to be there
        self._laid = False
        self._renews_in_place = True

    def open(self) -> None:
        """Take over our tables of an earlier run, or make them, in one transaction.

        What their sets hold stays, if the sets are those that we would make. Opening again after
        an error, or after the socket was lost, is fine.
        """
        with self._lock:
            self._shut()
            self._opened = NftSocket(self._netns)
            try:
                self._take_over()
                self._listen()
            except EnforceError:
                self._shut()
                raise

    def read(self) -> ActiveSet:
        """Return what the kernel holds; nothing for a table that is gone."""
        with self._lock:
            found = self._read(self._look())
            self._held = Holding(found, shelf)
            return found

    def apply(self, change: ChangeSet) -> None:
        """Make a change and read it back, of a large one a sample.

        Raises DivergedError where the kernel disagrees.
        """
        with self._lock:
            if change.is_empty:
                return
            held, self._held = self._held, None  # not known, should this fail half way
            self._change(change)
            if held is not None:
                held.change(change)
            self._held = held

    def replace(self, wish: Desired) -> int:
        """Make the kernel hold `wish`, whatever it holds now; return how many entries changed.

        Chains and rules are put back in one transaction, and the sets' content is mended in
        bounded ones: what is enforced stays so meanwhile. Only tables that are gone, or whose
        sets are not ours, are built anew.
        """
        with self._lock:
            look = self._mend()
            held, self._held = self._held, None
            changed = self._change(plan(wish, self._there(held, look)))
            if held is None:
                held = Holding(wish, shelf)
                self._remove_others(held)
            else:
                held.change(plan(wish, held.view()))
            self._held = held
            return changed

    def repair(self) -> int:
        """Put back what others changed; return how many entries that were.

        Raises DivergedError where it is not known what ought to be there.
        """
        with self._lock:
            look = self._mend()
            held, self._held = self._held, None
            if held is None:
                raise DivergedError("what the tables ought to hold is not known: replace it")
            changed = 0
            if lacks(held, look.counts, self._clock()):
                changed = self._change(plan(held.view(), self._read(look)))
            self._held = held
            return changed

    def set_guards(self, allow: Sequence[str], ports: Sequence[int]) -> None:
        """Say what always passes and which ports are touched.

        Raises ValueError for what is no CIDR or no port.
        """
        spans, numbers = merged(allow), sorted(set(ports))
        if any(not 0 < port < 1 << 16 for port in numbers):
            raise ValueError(f"not a port: {numbers}")
        with self._lock:
            if (spans, numbers) == (self._allow, self._ports):
                return
            # noted first: should this fail, `replace` puts them in place
            self._allow, self._ports = spans, numbers
            self._commit(self._guards())
            sets = self._reader.sets()
            if (spans, numbers) != (
                self._reader.allowed(sets),
                self._reader.ports(sets),
            ):
                raise DivergedError("the guard sets did not take; the tables must be built anew")

    def in_sync(self) -> bool:
        """Compare the ruleset's generation; look closer when somebody else made a change."""
        with self._lock:
            generation = self._reader.generation()
            if generation == self._generation:
                return True
            look = self._look()
            if not self._laid:
                return not look.ruleset.tables
            if not (self._holds_sets(look) and self._stands_guard(look)):
                return False
            if self._held is not None and lacks(self._held, look.counts, self._clock()):
                return False
            self._generation = generation
            return True

    def unmet(self) -> str:
        """Nothing: the rules are made with the sets."""
        return ""

    def counters(self, elements: Iterable[Element]) -> Counters:
        """Return what was taken away from these; single dropped clients have no counter."""
        with self._lock:
            return self._reader.counters(elements)

    def totals(self) -> Totals:
        """Return what our rules took away since they were made."""
        with self._lock:
            return self._reader.totals()

    def witnessed(self) -> Witnessed:
        """Return what others did since the last call; nothing unless it listens."""
        with self._lock:
            if self._audit is None:
                return Witnessed(problem=self._deaf)
            try:
                return self._audit.witnessed()
            except OSError as error:
                self._go_deaf(error)
                return Witnessed(problem=self._deaf)

    def lift_all(self) -> None:
        """Remove both tables."""
        with self._lock:
            self._commit(layout.remove(self._reader.tables()))
            self._held = Holding((), shelf)
            self._laid = False

    def close(self, *, keep: bool) -> None:
        """End; with `keep` the tables stay until their elements' deadlines."""
        with self._lock:
            if self._opened is None:
                return
            try:
                if not keep:
                    self.lift_all()
            finally:
                self._shut()

    def _listen(self) -> None:
        """Begin to listen for others; where that may not be, changes stay without a name."""
        if not self._audits:
            return
        try:
            self._audit, self._deaf = NftAudit(self._socket.port, self._netns), ""
        except OSError as error:
            self._go_deaf(error)

    def _go_deaf(self, error: OSError) -> None:
        self._deaf = f"cannot listen for changes of others: {error}"
        if self._audit is not None:
            self._audit.close()
            self._audit = None

    def _shut(self) -> None:
        if self._audit is not None:
            self._audit.close()
            self._audit = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _socket(self) -> NftSocket:
        if self._opened is None:
            raise EnforceError("the nftables backend is not open: call open() first")
        return self._opened

    @property
    def _reader(self) -> NftReader:
        return NftReader(self._socket, self._clock)

    def _take_over(self) -> None:
        exists = self._reader.tables()
        self._generation = self._reader.generation()
        look = self._look()
        self._allow, self._ports = self._reader.allowed(look.sets), self._reader.ports(look.sets)
        self._held = None
        sets = sets_intact(self._made, look.ruleset)
        orphaned = self._flags and tables_orphaned(look.ruleset)
        if sets and (orphaned or tables_intact(self._made, look.ruleset)):
            if orphaned:
                # by itself: no base chain is made in a transaction that changes its table
                self._commit(list(layout.claim(self._flags)))
            self._commit([*layout.relay(look.chains), *self._guards()])
            self._laid = True
        else:
            fill = self._read(look)
            self._build(exists, fill)
            self._held = Holding(fill, shelf)

    def _build(self, exists: Iterable[int], fill: Iterable[Element] = ()) -> None:
        """Build both tables anew, with `fill` in them."""
        exists = sorted(exists)
        change = ChangeSet(additions=tuple(fill))
        try:
            self._lay(exists, change)
        except UnsupportedError:
            if not self._flags:
                raise
            self._flags = 0  # before 6.9 a table cannot outlive its owner: do without one
            self._made = self._expected()
            self._lay(exists, change)
        self._laid = True

    def _lay(self, exists: Sequence[int], change: ChangeSet) -> None:
        """Build in one transaction, so that nothing passes meanwhile, as far as it holds."""
        ground = [*layout.build(exists, self._flags), *self._guards()]
        units = content.changes(change, self._clock, in_place=True)
        for part in transactions([ground, *units], self._socket.limit_bytes):
            self._commit(part)

    def _holds_sets(self, look: Look) -> bool:
        told = look.ruleset
        return tables_intact(self._made, told) and sets_intact(self._made, told)

    def _stands_guard(self, look: Look) -> bool:
        """Whether all rules are ours, and the guard sets count as many entries as they must."""
        if not rules_intact(self._made, look.ruleset):
            return False
        due = content.guard_counts(self._allow, self._ports)
        return all(look.counts.get(where, number) == number for where, number in due.items())

    def _guards(self) -> list[Message]:
        return list(content.guards(self._allow, self._ports))

    def _do(self, change: ChangeSet) -> None:
        units = content.changes(change, self._clock, in_place=self._renews_in_place)
        for part in transactions(units, TRANSACTION_BYTES):
            self._commit(part)

    def _commit(self, messages: Sequence[Message]) -> None:
        if messages:
            is_large = sum(len(m.payload) for m in messages) > AUDIT_BYTES
            with self._audit.away() if self._audit and is_large else nullcontext():
                self._socket.commit(messages)
            # counted, not asked for: a foreign change in between must not pass unseen
            self._generation = (self._generation + 1) & 0xFFFFFFFF

    def _mend(self) -> Look:
        """Make tables, sets, chains, rules and guards what they ought to be; return the look."""
        self._generation = self._reader.generation()
        look = self._look()
        if not self._holds_sets(look):
            self._build(self._reader.tables())
            return self._look()
        if not self._stands_guard(look):
            self._commit([*layout.relay(look.chains), *self._guards()])
        return look

    def _change(self, change: ChangeSet) -> int:
        """Make a change and read it back; return how many entries it has."""
        begun = time.monotonic()
        self._do(change)
        self._verify(change, begun)
        return len(change)

    def _there(self, held: Holding[Shelf] | None, look: Look) -> ActiveSet:
        """Return what the kernel holds: as remembered, or as read unless that takes too long."""
        if held is not None and not lacks(held, look.counts, self._clock()):
            return held.view()
        if sum(count for where, count in look.counts.items() if where in OURS) > READ_MOST:
            return ActiveSet()
        return self._read(look)

    def _read(self, look: Look) -> ActiveSet:
        """Read all elements; again where fewer came than are counted.

        While a hash table grows, as it does for a moment after many additions, a dump misses some
        of it. What has lapsed and was not yet collected is counted too, so this ends.
        """
        for _ in range(READ_TRIES):
            found = Holding(self._reader.elements(look.sets), shelf)
            if all(found.counts[where] >= look.counts.get(where, 0) for where in OURS):
                break
        return found.view()

    def _remove_others(self, held: Holding[Shelf]) -> None:
        """Remove what the kernel holds beyond what it should, where a set counts more."""
        look = self._look()
        if any(look.counts.get(where, 0) > held.counts[where] for where in OURS):
            self._do(ChangeSet(removals=plan(held.view(), self._read(look)).removals))

    def _look(self) -> Look:
        return self._reader.look()

    def _expected(self) -> Ruleset:
        return ruleset_of(layout.build((), self._flags))

    def _verify(self, change: ChangeSet, begun: float) -> None:
        additions = _sample(change.additions)
        missing = self._missing(additions, begun)
        if self._renews_in_place and missing and all(_is_stale(*pair) for pair in missing):
            # before Linux 6.12 a renewal is no error, and changes nothing
            self._renews_in_place = False
            self._do(ChangeSet(additions=change.additions))
            missing = self._missing(additions, begun)
        wrong = [*self._remaining(change), *(e for e, _held in missing)]
        if wrong:
            first = wrong[0]
            raise DivergedError(
                f"{len(wrong)} of {len(change)} changes did not take, first {first.span} in set"
                f" {layout.spec_of(first.measure, first.span).name}; the tables must be built"
                " anew"
            )

    def _remaining(self, change: ChangeSet) -> list[Element]:
        """Return the removals that the kernel still shows."""
        added = {(e.measure, e.span) for e in change.additions} if change.removals else ()
        gone = [e for e in change.removals if (e.measure, e.span) not in added]
        looked_up = self._reader.look_up(_sample(gone))
        return [e for e, held in looked_up if held and held.span == e.span]

    def _missing(
        self, additions: Sequence[Element], begun: float
    ) -> list[tuple[Element, Element | None]]:
        """Return the additions that the kernel does not show, and what it shows instead."""
        found = list(self._reader.look_up(additions))
        now, took_s = self._clock(), time.monotonic() - begun
        return [(e, held) for e, held in found if not content.agrees(e, held, now, took_s)]


def _sample(elements: Sequence[Element]) -> Sequence[Element]:
    """Return all of them, or some from everywhere among them."""
    return elements[:: -(-len(elements) // SAMPLE)] if len(elements) > SAMPLE else elements


def _is_stale(wanted: Element, held: Element | None) -> bool:
    """Whether the kernel holds what was wanted, but for its deadline."""
    return held is not None and (held.span, held.rate) == (wanted.span, wanted.rate)
