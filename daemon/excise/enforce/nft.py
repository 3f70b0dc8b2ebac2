"""The nftables backend: what the sets hold, over `nft_ground`, and read back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from excise.decide.holding import Holding
from excise.decide.plan import ActiveSet, ChangeSet, Desired, Element, Measure, plan
from excise.decide.span import Span
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.base import Counted, Witnessed
from excise.enforce.nft_ground import Ground
from excise.enforce.nft_reader import Look
from excise.enforce.nft_tally import Shelf, lacks, shelf
from excise.enforce.nft_wire import Message, transactions
from excise.errors import DivergedError, EnforceError
from excise.model.portguard import NO_GUARD, PortGuard

#: a transaction holds up everybody else's: about 8,000 addresses, 10 to 30 ms
TRANSACTION_BYTES = 320 << 10
#: of more changes than this, so many are read back
SAMPLE = 500
#: of more entries than this, what the kernel holds is not read: a dump's time grows as the square
READ_MOST = 300_000
READ_TRIES = 3


class Nftables:
    """An Enforcer on nftables tables `ip excise` and `ip6 excise`.

    With `owner` nobody else can change or flush them while the daemon runs, an administrator's
    nft(8) included. `containers` says whether to look up replies of containers behind NAT in
    conntrack; None: wherever some chain does NAT. `shaping` leaves room for what `shaped` puts
    there. With `audit` it listens for who else changes the tables. `netns` names another network
    namespace, `clock` gives epoch seconds.
    """

    name = "nftables"

    def __init__(
        self,
        *,
        owner: bool = False,
        containers: bool | None = None,
        shaping: bool = False,
        audit: bool = False,
        netns: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ground = Ground(
            owner=owner,
            containers=containers,
            shaping=shaping,
            audit=audit,
            netns=netns,
            clock=clock,
        )
        self._clock = clock
        self._lock = threading.RLock()
        #: None: not known
        self._held: Holding[Shelf] | None = None
        self._renews_in_place = True

    def open(self) -> None:
        """Take over our tables of an earlier run, or make them, in one transaction.

        What their sets hold stays, if the sets are those that we would make. Opening again after
        an error, or after the socket was lost, is fine.
        """
        with self._lock:
            self._ground.connect()
            try:
                self._held = None
                if not self._ground.take_over():
                    left = self._read(self._ground.reader.look())
                    self._ground.build(self._units(ChangeSet(additions=tuple(left))))
                    self._held = Holding(left, shelf)
                self._ground.listen()
            except EnforceError:
                self._ground.shut()
                raise

    def read(self) -> ActiveSet:
        """Return what the kernel holds; nothing for a table that is gone."""
        with self._lock:
            found = self._read(self._ground.reader.look())
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
            look = self._ground.mend()
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
            look = self._ground.mend()
            held, self._held = self._held, None
            if held is None:
                raise DivergedError("what the tables ought to hold is not known: replace it")
            changed = 0
            if lacks(held, look.counts, self._clock()):
                changed = self._change(plan(held.view(), self._read(look)))
            self._held = held
            return changed

    def set_guards(
        self, allow: Sequence[str], ports: Sequence[int], guard: PortGuard = NO_GUARD
    ) -> None:
        """Say what always passes, which ports are touched, and which are shut.

        Raises ValueError for what is no CIDR or no port.
        """
        wanted = content.guards_of(allow, ports, guard)
        with self._lock:
            self._ground.set_guards(wanted)

    def in_sync(self) -> bool:
        """Compare the ruleset's generation; look closer when somebody else made a change."""
        with self._lock:
            return self._ground.in_sync(self._holds)

    def unmet(self) -> str:
        """Nothing: the rules are made with the sets."""
        return ""

    def counters(self, elements: Iterable[Element]) -> Counted[tuple[Measure, Span]]:
        """Return what was taken away from these; single dropped clients have no counter."""
        with self._lock:
            return Counted(self._ground.builds, self._ground.reader.counters(elements))

    def totals(self) -> Counted[Measure]:
        """Return what our rules took away since they were made."""
        with self._lock:
            return Counted(self._ground.lays, self._ground.reader.totals())

    def witnessed(self) -> Witnessed:
        """Return what others did since the last call; nothing unless it listens."""
        with self._lock:
            return self._ground.witnessed()

    def send(self, messages: Iterable[Message]) -> None:
        """Send more about our tables than `apply` knows of; in one transaction unless large."""
        with self._lock:
            for part in transactions(([m] for m in messages), TRANSACTION_BYTES):
                self._ground.commit(part)

    def lift_all(self) -> None:
        """Remove both tables."""
        with self._lock:
            self._ground.lift()
            self._held = Holding((), shelf)

    def close(self, *, keep: bool) -> None:
        """End; with `keep` the tables stay until their elements' deadlines."""
        with self._lock:
            if not self._ground.is_open:
                return
            try:
                if not keep:
                    self.lift_all()
            finally:
                self._ground.shut()

    def _holds(self, look: Look) -> bool:
        """Whether no set counts fewer entries than it must have, as far as that is known."""
        return self._held is None or not lacks(self._held, look.counts, self._clock())

    def _units(self, change: ChangeSet) -> Iterable[list[Message]]:
        return content.changes(change, self._clock, in_place=self._renews_in_place)

    def _do(self, change: ChangeSet) -> None:
        for part in transactions(self._units(change), TRANSACTION_BYTES):
            self._ground.commit(part)

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
        if sum(count for where, count in look.counts.items() if where in layout.OURS) > READ_MOST:
            return ActiveSet()
        return self._read(look)

    def _read(self, look: Look) -> ActiveSet:
        """Read all elements; again where fewer came than are counted.

        While a hash table grows, as it does for a moment after many additions, a dump misses some
        of it. What has lapsed and was not yet collected is counted too, so this ends.
        """
        for _ in range(READ_TRIES):
            found = Holding(self._ground.reader.elements(look.sets), shelf)
            if all(found.counts[where] >= look.counts.get(where, 0) for where in layout.OURS):
                break
        return found.view()

    def _remove_others(self, held: Holding[Shelf]) -> None:
        """Remove what the kernel holds beyond what it should, where a set counts more."""
        look = self._ground.reader.look()
        if any(look.counts.get(where, 0) > held.counts[where] for where in layout.OURS):
            self._do(ChangeSet(removals=plan(held.view(), self._read(look)).removals))

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
        looked_up = self._ground.reader.look_up(_sample(gone))
        return [e for e, held in looked_up if held and held.span == e.span]

    def _missing(
        self, additions: Sequence[Element], begun: float
    ) -> list[tuple[Element, Element | None]]:
        """Return the additions that the kernel does not show, and what it shows instead."""
        found = list(self._ground.reader.look_up(additions))
        now, took_s = self._clock(), time.monotonic() - begun
        return [(e, held) for e, held in found if not content.agrees(e, held, now, took_s)]


def _sample(elements: Sequence[Element]) -> Sequence[Element]:
    """Return all of them, or some from everywhere among them."""
    return elements[:: -(-len(elements) // SAMPLE)] if len(elements) > SAMPLE else elements


def _is_stale(wanted: Element, held: Element | None) -> bool:
    """Whether the kernel holds what was wanted, but for its deadline."""
    return held is not None and (held.span, held.rate) == (wanted.span, wanted.rate)
