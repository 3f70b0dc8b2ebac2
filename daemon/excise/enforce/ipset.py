"""The ipset backend: fills sets that the operator's iptables rules look into, and reads them back.

There are no transactions: what is put in comes before what is taken out, and a set is replaced
as a whole by filling another one and swapping the two, so nothing passes in between that should
not. There is no generation either: the kernel's count of each set's entries is compared with
ours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from excise.decide.plan import TOLERANCE_S, ActiveSet, ChangeSet, Desired, Element, Measure, gather
from excise.decide.span import Span, merged
from excise.enforce import ipset_layout as layout
from excise.enforce import ipset_wire as wire
from excise.enforce.base import Counted, Traffic, Witnessed
from excise.enforce.ipset_layout import ALLOW, GATE, PORTS, TEMPORARY, SetSpec
from excise.enforce.ipset_ledger import Held, Ledger, Steps, allowed_in, guards_of, keys_of
from excise.enforce.ipset_reader import Headers, IpsetReader, unreferenced
from excise.enforce.ipset_rules import MAXELEM
from excise.enforce.ipset_socket import IpsetSocket, error_for
from excise.enforce.ipset_wire import Command, Err, Header
from excise.errors import DivergedError, EnforceError, UnsupportedError
from excise.model.decision import Tier
from excise.model.portguard import NO_GUARD, PortGuard

HASHSIZE = 1024
#: entries at once whose seconds left are counted from the same moment
MESSAGE = 2_500
#: changes up to here are asked for one by one afterwards, larger ones counted
ASK_UP_TO = 500
#: differences up to here are put right in place, more by swapping whole sets
IN_PLACE_UP_TO = 5_000
#: counting takes the kernel longer the more there is: at most this share of the time
SHARE = 0.05
#: counters of a set with more entries than this are not read
MOST_COUNTED = 2_000


class Ipset:
    """An Enforcer on sets called excise…, which rules from `ipset_rules` refer to.

    `tiers` say which sets are kept even when empty. `netns` names another network namespace,
    `clock` gives epoch seconds.
    """

    name = "ipset"

    def __init__(
        self,
        tiers: Sequence[Tier] = (),
        *,
        netns: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._standing = layout.standing(tiers)
        self._netns = netns
        self._clock = clock
        self._lock = threading.RLock()
        self._opened: IpsetSocket | None = None
        self._ledger = Ledger()
        self._allow: list[Span] = []
        self._ports: list[int] = []
        self._there: set[SetSpec] = set()
        self._unreferenced: list[SetSpec] = []
        self._look_at = 0.0

    def open(self) -> None:
        """Take over the sets of an earlier run, or make them. Opening again is fine."""
        with self._lock:
            self._shut()
            self._opened = IpsetSocket(self._netns)
            try:
                oldest, newest = wire.read_protocol(self._socket.ask(wire.ask_protocol()))
                if not oldest <= wire.PROTOCOL <= newest:
                    raise UnsupportedError(
                        f"this kernel's ipset speaks protocol {oldest} to {newest}, excise"
                        f" {wire.PROTOCOL}: use enforcer: nftables"
                    )
                half_filled = [n for n in self._reader.names() if n.endswith(TEMPORARY)]
                self._each([wire.destroy(name) for name in half_filled], {0})
                dumped = self._reader.dump_all(self._reader.headers())
                self._allow = allowed_in(dumped)
                self._ports = sorted(dumped.get(PORTS, {}))
                self._hold(Ledger(self._meant(dumped)))
            except EnforceError:
                self._shut()
                raise

    def read(self) -> ActiveSet:
        """Return what the kernel holds; nothing of a set that is gone."""
        with self._lock:
            return self._meant(self._reader.dump_all(self._reader.headers()))

    def apply(self, change: ChangeSet) -> None:
        """Make a change and read it back. Raises DivergedError where the kernel disagrees."""
        with self._lock:
            if change.is_empty:
                return
            if not self._there:
                raise DivergedError("the sets are gone; they must be built anew")
            steps = self._ledger.change(change)
            fresh = [spec for spec in steps.put if spec not in self._there]
            self._socket.do([_create(spec, spec.name, len(steps.put[spec])) for spec in fresh])
            self._there.update(fresh)
            self._socket.do(self._commands(steps))
            wrong = self._wrong(steps)
            if wrong:
                raise DivergedError(
                    f"{wrong} of {len(steps)} changed entries did not take; the sets must be"
                    " built anew"
                )
            if fresh:
                self._look_at = 0.0  # no rule can refer to them yet: say so soon

    def replace(self, wish: Desired) -> int:
        """Make the kernel hold `wish`, whatever it holds now; return how many entries changed.

        Few changes are made in place; else the sets concerned are filled anew and swapped.
        """
        with self._lock:
            return self._hold(Ledger(wish))

    def repair(self) -> int:
        """Put back what others changed; return how many entries that were."""
        with self._lock:
            return self._hold(self._ledger)

    def set_guards(
        self, allow: Sequence[str], ports: Sequence[int], guard: PortGuard = NO_GUARD
    ) -> None:
        """Say what always passes and which ports are touched.

        Raises ValueError for what is no CIDR or no port. Shutting ports is for the operator's
        own rules here: the configuration refuses a guard.
        """
        if guard.ports:
            raise UnsupportedError("guard: needs enforcer: nftables; shut the ports with iptables")
        spans, numbers = merged(allow), sorted(set(ports))
        if any(not 0 < port < 1 << 16 for port in numbers):
            raise ValueError(f"not a port: {numbers}")
        with self._lock:
            if (spans, numbers) == (self._allow, self._ports):
                return
            old = guards_of(self._allow, self._ports)
            # noted first: should this fail, `replace` puts them in place
            self._allow, self._ports = spans, numbers
            new = guards_of(spans, numbers)
            put = {spec: {k: 0.0 for k in new[spec] if k not in old[spec]} for spec in new}
            take = {spec: [k for k in old[spec] if k not in new[spec]] for spec in new}
            self._socket.do(self._commands(Steps(put, take)))
            if any(self._reader.dump(spec).keys() != held.keys() for spec, held in new.items()):
                raise DivergedError("the guard sets did not take; they must be built anew")

    def in_sync(self) -> bool:
        """Compare the kernel's counts with ours; not more often than that is cheap."""
        with self._lock:
            begun = time.monotonic()
            if begun < self._look_at:
                return True
            agrees = self._agrees(self._reader.headers())
            took_s = time.monotonic() - begun
            self._look_at = begun + took_s / SHARE if agrees else 0.0
            return agrees

    def unmet(self) -> str:
        """Say that no rule refers to our sets, as far as they hold or may hold anything."""
        with self._lock:
            names = [spec.name for spec in self._unreferenced]
        if not names:
            return ""
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return (
            "nothing is enforced until iptables refers to"
            f" {', '.join(names[:3])}{more}: run 'excise doctor --iptables' for the rules"
        )

    def counters(self, elements: Iterable[Element]) -> Counted[tuple[Measure, Span]]:
        """Return what was taken away from these; single dropped addresses have no counter.

        The kernel tells counters with a whole set only, so large sets are left out.
        """
        with self._lock:
            asked: dict[SetSpec, dict[int, Span]] = {}
            for e in elements:
                spec = layout.spec_of(e.measure, e.span, e.rate)
                if spec.kind.counted and 0 < len(self._ledger.held(spec)) <= MOST_COUNTED:
                    asked.setdefault(spec, {}).update(dict.fromkeys(keys_of(e.span), e.span))
            found: dict[tuple[Measure, Span], Traffic] = {}
            for spec, spans in asked.items():
                for entry in self._reader.entries(spec):
                    span = spans.get(entry.key)
                    if span is None or spec.measure is None:
                        continue
                    where = spec.measure, span
                    told = Traffic(entry.packets, entry.bytes)
                    found[where] = found[where] + told if where in found else told
            return Counted(0, found)

    def totals(self) -> Counted[Measure]:
        """Not counted: the rules, and their counters, are the operator's."""
        return Counted(0, {})

    def witnessed(self) -> Witnessed:
        """Nothing: the kernel tells nobody who changed a set."""
        return Witnessed()

    def lift_all(self) -> None:
        """Remove all our sets, and empty those that a rule refers to."""
        with self._lock:
            self._each([wire.destroy(n) for n in self._reader.names()], {0, 2, Err.BUSY})
            self._empty(self._reader.headers())
            self._ledger, self._there, self._unreferenced = Ledger(), set(), []

    def close(self, *, keep: bool) -> None:
        """End; with `keep` the sets stay until their entries' deadlines."""
        with self._lock:
            if self._opened is None:
                return
            try:
                if not keep:
                    self.lift_all()
            finally:
                self._shut()

    def _shut(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _socket(self) -> IpsetSocket:
        if self._opened is None:
            raise EnforceError("the ipset backend is not open: call open() first")
        return self._opened

    @property
    def _reader(self) -> IpsetReader:
        return IpsetReader(self._socket, self._clock)

    def _meant(self, dumped: Mapping[SetSpec, Held]) -> ActiveSet:
        return gather(self._ledger.elements_of(dumped))

    def _hold(self, ledger: Ledger) -> int:
        """Make the kernel hold what a ledger says; return how many entries that changed."""
        headers = self._reader.headers()
        content: dict[SetSpec, Held] = {spec: {} for spec in self._standing}
        content |= {spec: shelf.held for spec, shelf in ledger.shelves.items()}
        content |= guards_of(self._allow, self._ports)
        steps = self._differences(content, headers)
        unfit = {s for s, h in headers.items() if not _fits(s, h, len(content.get(s, ())))}
        self._ledger, self._there = ledger, set(content)
        if not unfit and len(steps) <= IN_PLACE_UP_TO:
            missing = [spec for spec in content if spec not in headers]
            self._socket.do([_create(s, s.name, len(content[s])) for s in missing])
            self._socket.do(self._commands(steps))
        else:
            self._swap_in(content, headers, unfit | steps.put.keys() | steps.take.keys())
        # a set of a rate that no tier has any more goes with the rule that refers to it
        idle = [wire.destroy(spec.name) for spec in headers if spec not in content]
        self._each(idle, {0, Err.BUSY})
        self._look_at = 0.0
        if not self._agrees(self._reader.headers()):
            raise DivergedError("the sets were changed while they were built; once more")
        return len(steps)

    def _differences(self, content: Mapping[SetSpec, Held], headers: Headers) -> Steps:
        """Return the steps from what the kernel holds to `content`."""
        now, dumped = self._clock(), self._reader.dump_all(headers)
        steps = Steps()
        for spec in {**headers, **content}:
            want, have = content.get(spec, {}), dumped.get(spec, {})
            put = _lacking(spec, want, have, now)
            take = [key for key in have if key not in want]
            if put:
                steps.put[spec] = put
            if take:
                steps.take[spec] = take
        return steps

    def _swap_in(
        self, content: Mapping[SetSpec, Held], headers: Headers, concerned: Collection[SetSpec]
    ) -> None:
        """Fill sets under other names, then swap all at once, then clear away."""
        self._each([wire.destroy(spec.name + TEMPORARY) for spec in content], {0, 2})
        swapped: list[SetSpec] = []
        for spec in {**content, **headers}:
            held = content.get(spec, {})
            if spec in headers and spec not in concerned:
                continue
            name = spec.name + TEMPORARY if spec in headers else spec.name
            self._socket.do([_create(spec, name, len(held))])
            self._socket.do(self._puts(name, spec, held))
            if spec in headers:
                swapped.append(spec)
        self._socket.do([wire.swap(s.name + TEMPORARY, s.name) for s in swapped])
        self._socket.do([wire.destroy(s.name + TEMPORARY) for s in swapped])

    def _empty(self, headers: Headers) -> None:
        """Empty sets; large ones by swapping, as flushing a million holds the lock for 80 ms."""
        large = [spec for spec, header in headers.items() if header.entries > IN_PLACE_UP_TO]
        self._socket.do([wire.flush(spec.name) for spec in headers if spec not in large])
        for spec in large:
            spare = spec.name + TEMPORARY
            self._socket.do([_create(spec, spare, 0), wire.swap(spare, spec.name)])
            self._socket.do([wire.destroy(spare)])

    def _puts(self, name: str, spec: SetSpec, held: Held) -> Iterator[Command]:
        """Yield what puts entries into a set; seconds left are counted as they are taken."""
        most, entries = wire.MOST_S, iter(held.items())
        while part := list(islice(entries, MESSAGE)):
            now = self._clock()
            # the kernel's zero would be for good
            left = {key: min(max(round(until - now), 1), most) for key, until in part}
            yield from wire.add(name, spec.kind, left)

    def _commands(self, steps: Steps) -> Iterator[Command]:
        """Yield the messages of a change; networks are let through the gate first."""
        for spec in sorted(steps.put, key=lambda s: (s not in GATE.values(), s.name)):
            yield from self._puts(spec.name, spec, steps.put[spec])
        for spec, keys in steps.take.items():
            yield from wire.delete(spec.name, spec.kind, keys)

    def _wrong(self, steps: Steps) -> int:
        """Return how many entries are not as they were made."""
        if len(steps) > ASK_UP_TO:
            return 0 if self._agrees(self._reader.headers()) else len(steps)
        now = self._clock() + TOLERANCE_S
        there = [
            wire.test(spec.name, spec.kind, key)
            for spec, held in steps.put.items()
            for key, until in held.items()
            if until > now
        ]
        gone = [
            wire.test(spec.name, spec.kind, key)
            for spec, keys in steps.take.items()
            for key in keys
            # in a set of networks a single address is looked for in all of them
            if spec.kind.typename == "hash:ip" or key & 0xFF != wire.BITS[spec.version]
        ]
        missing = sum(code != 0 for _command, code in self._socket.try_each(there))
        return missing + sum(code == 0 for _command, code in self._socket.try_each(gone))

    def _agrees(self, headers: Mapping[SetSpec, Header]) -> bool:
        """Whether all sets are there with as many entries as they must have."""
        now = self._clock()
        sizes = {PORTS: len(self._ports)}
        for version, spec in ALLOW.items():
            sizes[spec] = sum(
                len(list(layout.cidrs(s))) for s in self._allow if s.version == version
            )
        for spec in self._there:
            header, shelf = headers.get(spec), self._ledger.shelves.get(spec)
            least = most = sizes.get(spec, 0)
            if shelf:
                least, most = shelf.bounds(now)
            if header is None or not least <= header.entries <= most:
                return False
        self._unreferenced = unreferenced(self._there, headers)
        return True

    def _each(self, commands: Sequence[Command], fine: Iterable[int]) -> None:
        """Do each; answers other than the `fine` ones are raised."""
        for command, code in self._socket.try_each(commands):
            if code not in fine:
                raise error_for(code, command.cmd)


def _create(spec: SetSpec, name: str, entries: int) -> Command:
    """Return what makes a set with room for twice as many, which need not grow while filled."""
    room = max(MAXELEM, 1 << (2 * entries).bit_length())
    return wire.create(name, spec.kind, room, max(HASHSIZE, 1 << entries.bit_length()))


def _fits(spec: SetSpec, header: Header, entries: int) -> bool:
    """Whether a set that is there is made as we would make it, and has room for so many."""
    return header.kind == spec.kind and (spec == PORTS or entries <= header.maxelem)


def _lacking(spec: SetSpec, want: Held, have: Held, now: float) -> Held:
    """Return what a set must get, or get another deadline for."""
    if not spec.kind.timed:
        return {key: until for key, until in want.items() if key not in have}
    latest = now + wire.MOST_S
    return {
        key: until
        for key, until in want.items()
        if until > now and abs(have.get(key, 0.0) - min(until, latest)) > TOLERANCE_S
    }
