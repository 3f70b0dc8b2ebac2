"""What the elements stand on: our tables with their sets, chains, rules and guards, kept sound.

Not for several threads at once: whoever owns a ground has the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain

from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.base import Witnessed
from excise.enforce.nft_audit import NftAudit
from excise.enforce.nft_check import (
    Ruleset,
    rules_intact,
    ruleset_of,
    sets_intact,
    tables_intact,
    tables_orphaned,
)
from excise.enforce.nft_content import Guards
from excise.enforce.nft_layout import NETWORKS
from excise.enforce.nft_reader import Look, NftReader
from excise.enforce.nft_rules import Shape
from excise.enforce.nft_sieve import Sieve, networks_in
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_tally import filled, holding
from excise.enforce.nft_wire import Message, transactions
from excise.errors import DivergedError, EnforceError, UnsupportedError

#: transactions larger than this are not told to our own listener
AUDIT_BYTES = 1 << 15
#: how often it is looked for sets that hold nothing any more; found so twice, they rest
REST_S = 60.0


class Ground:
    """Owns the socket, the shape of the tables, and what the guards are.

    `containers`: whether to look up replies of containers behind NAT in conntrack; None: wherever
    some chain does NAT. The other arguments are as of `Nftables`.
    """

    def __init__(
        self,
        *,
        owner: bool,
        containers: bool | None,
        shaping: bool,
        audit: bool,
        netns: str | None,
        clock: Callable[[], float],
    ) -> None:
        self.guards = Guards()
        #: how often sets were made anew, and how often rules were
        self.builds = self.lays = 0
        self._flags = layout.OWNER | layout.PERSIST if owner else 0
        self._containers = containers
        self._shape = Shape(shaping=shaping, sieved=frozenset(layout.FAMILIES))
        self._sieve = Sieve()
        self._audits = audit
        self._audit: NftAudit | None = None
        self._deaf = ""
        self._netns = netns
        self._clock = clock
        self._opened: NftSocket | None = None
        self._generation = 0
        #: whether our tables ought to be there
        self._laid = False
        #: asked sets that held nothing when last looked at, and when that was
        self._idle: frozenset[layout.Name] = frozenset()
        self._looked_ts = clock()

    @property
    def socket(self) -> NftSocket:
        """The socket; raises EnforceError before `connect`."""
        if self._opened is None:
            raise EnforceError("the nftables backend is not open: call open() first")
        return self._opened

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._opened is not None

    @property
    def reader(self) -> NftReader:
        """Questions over our socket."""
        return NftReader(self.socket, self._clock)

    def connect(self) -> None:
        """Open the socket anew."""
        self.shut()
        self._opened = NftSocket(self._netns)

    def shut(self) -> None:
        """Close what is open."""
        if self._audit is not None:
            self._audit.close()
            self._audit = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def commit(self, messages: Sequence[Message]) -> None:
        """Do all of it in one transaction, or nothing.

        Where it fills a set that no rule asks yet, rules that do come first. With it goes what is
        due for the sieve, for networks of its own or others' that were found.
        """
        self._admit(messages)
        messages = [*messages, *self._sieve.due()]
        if messages:
            is_large = sum(len(m.payload) for m in messages) > AUDIT_BYTES
            with self._audit.away() if self._audit and is_large else nullcontext():
                self.socket.commit(messages)
            # counted, not asked for: a foreign change in between must not pass unseen
            self._generation = (self._generation + 1) & 0xFFFFFFFF
            self._sieve.done()

    def take_over(self) -> bool:
        """Make tables of an earlier run ours, with all that their sets hold; whether that can be.

        Raises ForeignTableError for tables of our name that others made.
        """
        self.reader.tables()
        self._generation = self.reader.generation()
        look = self.reader.look()
        self.guards = self.reader.guards(look.sets)
        self._adapt(look)
        wanted = self._wanted()
        orphaned = bool(self._flags) and tables_orphaned(look.ruleset)
        if not sets_intact(wanted, look.ruleset):
            return False
        if not (orphaned or tables_intact(wanted, look.ruleset)):
            return False
        if orphaned:
            # by itself: no base chain is made in a transaction that changes its table
            self.commit(list(layout.claim(self._flags)))
        self._relay(look)
        return True

    def build(self, filling: Iterable[Sequence[Message]] = ()) -> None:
        """Build both tables anew, with `filling` in them.

        In one transaction, as far as it holds: nothing passes meanwhile.
        """
        exists = sorted(self.reader.tables())
        units = list(filling)
        asked = self._shape.asked.union(*(filled(unit) for unit in units))
        self._sieve = Sieve()
        wide = self._sieve.admit(networks_in(m for unit in units for m in unit))
        sieved = frozenset(layout.FAMILIES) - wide
        self._shape = replace(self._shape, asked=asked, sieved=sieved)
        try:
            self._lay(exists, units)
        except UnsupportedError:
            if not self._flags:
                raise
            self._flags = 0  # before 6.9 a table cannot outlive its owner: do without one
            self._lay(exists, units)
        self._laid = True

    def mend(self) -> Look:
        """Make tables, sets, chains, rules and guards what they ought to be; return the look."""
        self._generation = self.reader.generation()
        look = self.reader.look()
        self._adapt(look)
        if not self._has_sets(look):
            self.build()
            return self.reader.look()
        if not self._stands(look):
            self._relay(look)
        else:
            self.commit(())
        return look

    def in_sync(self, holds: Callable[[Look], bool]) -> bool:
        """Whether our tables are as they ought to be, and `holds` says the same of their elements.

        Looks only after somebody else changed the ruleset. Where that change began or ended NAT,
        or put something into an empty set of ours, the rules follow it.
        """
        generation = self.reader.generation()
        if generation == self._generation:
            self._rest()
            return True
        look = self.reader.look()
        if not self._laid:
            return not look.ruleset.tables
        if not (self._has_sets(look) and self._stands(look) and holds(look)):
            return False
        self._generation = generation
        if self._adapt(look):
            self._relay(look)
        else:
            self.commit(())
        return True

    def set_guards(self, wanted: Guards) -> None:
        """Make the guards so. Raises DivergedError if they are not afterwards."""
        if wanted == self.guards:
            return
        # noted first: should this fail, `mend` puts them in place
        self.guards = wanted
        if self._adapt():
            self._relay(self.reader.look())
        else:
            self.commit(list(content.guards(wanted)))
        if not self.reader.holds(wanted, self.reader.sets()):
            raise DivergedError("the guard sets did not take; the tables must be built anew")

    def lift(self) -> None:
        """Remove both tables."""
        self._sieve = Sieve()
        self.commit(layout.remove(self.reader.tables()))
        self._laid = False
        self._shape = replace(self._shape, asked=frozenset())

    def listen(self) -> None:
        """Begin to listen for others; where that may not be, changes stay without a name."""
        if not self._audits:
            return
        try:
            self._audit, self._deaf = NftAudit(self.socket.port, self._netns), ""
        except OSError as error:
            self._go_deaf(error)

    def witnessed(self) -> Witnessed:
        """Return what others did since the last call; nothing unless it listens."""
        if self._audit is None:
            return Witnessed(problem=self._deaf)
        try:
            return self._audit.witnessed()
        except OSError as error:
            self._go_deaf(error)
            return Witnessed(problem=self._deaf)

    def _go_deaf(self, error: OSError) -> None:
        self._deaf = f"cannot listen for changes of others: {error}"
        if self._audit is not None:
            self._audit.close()
            self._audit = None

    def _adapt(self, look: Look | None = None) -> bool:
        """Bring the shape to what guards, NAT and full sets ask for; return whether it changed."""
        nat = frozenset(layout.FAMILIES if self._containers else ())
        if self._containers is None:
            nat = self.reader.nat()
        full, sieved = self._sift(look) if look else (frozenset(), self._shape.sieved)
        shape = replace(
            self._shape,
            guard=bool(self.guards.shut),
            nat=nat,
            ports=self.guards.ports,
            asked=self._shape.asked | full,
            sieved=sieved,
        )
        changed, self._shape = shape != self._shape, shape
        return changed

    def _admit(self, messages: Sequence[Message]) -> None:
        """Let rules look into the sets that messages fill, past the sieve or without it."""
        asked, before = filled(messages), self._shape
        wide = self._sieve.admit(networks_in(messages)) if asked & NETWORKS else frozenset()
        if self._laid and not (asked <= before.asked and before.sieved.isdisjoint(wide)):
            sieved = before.sieved - wide
            self._shape = replace(before, asked=before.asked | asked, sieved=sieved)
            self._relay(self.reader.look())

    def _sift(self, look: Look) -> tuple[frozenset[layout.Name], frozenset[int]]:
        """Let the sieve follow what the kernel holds.

        Return which sets hold something, and which IP versions can be sieved.
        """
        networks = self.reader.networks(look.sets)
        spans = chain.from_iterable(networks.values())
        sieved = self._sieve.follow(self.reader.near(look.sets), spans)
        return holding(look.counts, look.sets, networks), sieved

    def _rest(self) -> None:
        """Now and then, let rules ask no longer what has held nothing for a while.

        The sieve lets on no longer what is not held, and is there again where what was too wide
        for it is gone.
        """
        now = self._clock()
        if not self._laid or abs(now - self._looked_ts) < REST_S:
            return
        self._looked_ts = now
        if not self._shape.asked:
            return
        look = self.reader.look()
        full, sieved = self._sift(look)
        idle = self._shape.asked - full
        resting, self._idle = idle & self._idle, idle
        shape = replace(self._shape, asked=self._shape.asked - resting, sieved=sieved)
        if shape != self._shape:
            self._shape = shape
            self._relay(look)
        self.commit(self._sieve.tidy())

    def _wanted(self) -> Ruleset:
        return ruleset_of(layout.build((), self._flags, self._shape))

    def _has_sets(self, look: Look) -> bool:
        wanted = self._wanted()
        return tables_intact(wanted, look.ruleset) and sets_intact(wanted, look.ruleset)

    def _stands(self, look: Look) -> bool:
        """Whether no set is missing, all rules are ours, and the guard sets hold what they must."""
        wanted = {(v, spec.name) for v in layout.FAMILIES for spec in self._sets(v)}
        return (
            wanted <= look.sets
            and rules_intact(self._wanted(), look.ruleset)
            and self.reader.holds(self.guards, look.sets)
            and self._sieve.holds(self.reader.near(look.sets))
        )

    def _sets(self, version: int) -> tuple[layout.SetSpec, ...]:
        return layout.sets_of(version, self._shape)

    def _relay(self, look: Look) -> None:
        """Lay chains, rules and guards anew in one transaction; the other sets stay as they are."""
        laid = layout.relay(look.chains, look.sets, self._shape)
        self.commit([*laid, *content.guards(self.guards)])
        self.lays += 1
        self._laid = True

    def _lay(self, exists: Sequence[int], units: Sequence[Sequence[Message]]) -> None:
        ground = [*layout.build(exists, self._flags, self._shape), *content.guards(self.guards)]
        sieve = sum(len(message.payload) + 64 for message in self._sieve.due())
        for part in transactions([ground, *units], self.socket.limit_bytes - sieve):
            self.commit(part)
        self.builds, self.lays = self.builds + 1, self.lays + 1
