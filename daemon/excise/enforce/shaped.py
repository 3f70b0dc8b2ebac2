"""The nftables backend with egress throttles queued in classes of HTB on some interfaces.

The policer stays behind it: a throttle without a class, an interface that cannot be had, and
everything when the daemon stops or dies, are held to their rates as without shaping.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from excise.decide.plan import ActiveSet, ChangeSet, Desired, Element, Measure
from excise.decide.span import Span
from excise.enforce.base import Counted, Witnessed
from excise.enforce.htb import Htb
from excise.enforce.lanes import MOST, Lane, Lanes, empty, point, shape, unpoint
from excise.enforce.nft import Nftables
from excise.enforce.tc_wire import MOST_RATE
from excise.errors import EnforceError
from excise.model.portguard import NO_GUARD, PortGuard

#: how often the interfaces are looked at
LOOK_S = 1.0
#: classes removed at a look: each takes the kernel half a millisecond
AT_ONCE = 200


def _silent(event: str, **words: str) -> None:
    """Tell nobody."""


class Shaped:
    """An Enforcer: `nft` with `htb` before its egress policer.

    `tell(event, **words)` is told what a person should know; `clock` gives epoch seconds.
    """

    tell: Callable[..., object]

    def __init__(
        self, nft: Nftables, htb: Htb, clock: Callable[[], float] = time.time, most: int = MOST
    ) -> None:
        self.tell = _silent
        self._nft = nft
        self._htb = htb
        self._clock = clock
        self._most = most
        self._lanes = Lanes(most)
        self._draining: list[Lane] = []
        self._problems: dict[str, str] = {}
        self._looked = 0.0
        self._is_open = False

    @property
    def name(self) -> str:
        """The backend's name in the configuration file."""
        return self._nft.name

    def open(self) -> None:
        """Take the interfaces, then take over the tables; `replace` gives classes again.

        Until then everything is policed.
        """
        self._htb.open()
        try:
            self._nft.open()
        except EnforceError:
            self._leave()
            raise
        self._is_open = True
        self._lanes, self._draining = Lanes(self._most), []
        self._fill(())

    def read(self) -> ActiveSet:
        """Return what the kernel holds now."""
        return self._nft.read()

    def apply(self, change: ChangeSet) -> None:
        """Make a change; the policer first, so that nothing is ever without a limit."""
        self._nft.apply(change)
        added = {e.span: e for e in change.additions if e.measure is Measure.EGRESS}
        # a changed rate is a removal too: the class stays, with what waits in it
        gone = [e for e in change.removals if e.measure is Measure.EGRESS and e.span not in added]
        self._drop([lane for e in gone if (lane := self._lanes.take(e.span))])
        self._add(list(added.values()))

    def replace(self, wish: Desired) -> int:
        """Make the kernel hold `wish`, whatever is there now; return how many entries changed."""
        changed = self._nft.replace(wish)
        wanted = wish.held[Measure.EGRESS]
        gone = self._lanes.used.keys() - wanted.keys()
        self._drain([lane for span in gone if (lane := self._lanes.take(span))])
        self._fill(wanted.values())
        return changed

    def repair(self) -> int:
        """Put back what others changed; return how many entries that were."""
        repaired = self._nft.repair()
        self._fill([lane.element for lane in self._lanes.used.values()])
        return repaired

    def set_guards(
        self, allow: Sequence[str], ports: Sequence[int], guard: PortGuard = NO_GUARD
    ) -> None:
        """Say what always passes, which ports are touched, and which are shut."""
        self._nft.set_guards(allow, ports, guard)

    def in_sync(self) -> bool:
        """Whether the tables are as they were put there.

        Once a second the interfaces are looked at, and put right here: the policer cannot stand
        in while packets are sent to classes that are no more.
        """
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked = now
            self._tidy()
            self._look()
        return self._nft.in_sync()

    def unmet(self) -> str:
        """Nothing: the rules are made with the sets."""
        return ""

    def counters(self, elements: Iterable[Element]) -> Counted[tuple[Measure, Span]]:
        """Return what was taken away from these; queueing takes nothing away."""
        return self._nft.counters(elements)

    def totals(self) -> Counted[Measure]:
        """Return what our rules took away; queueing takes nothing away."""
        return self._nft.totals()

    def witnessed(self) -> Witnessed:
        """Return what others did since the last call."""
        return self._nft.witnessed()

    def lift_all(self) -> None:
        """Remove every trace from the kernel."""
        self._lanes, self._draining = Lanes(self._most), []
        self._htb.restore()
        self._nft.lift_all()

    def close(self, *, keep: bool) -> None:
        """End; the interfaces get their default back, and with `keep` the policer goes on."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if keep and self._htb.held:
                self._nft.send(shape(()))
        except EnforceError as error:
            # what went missing shapes nothing any more
            self.tell("shaping.not_emptied", problem=str(error))
        finally:
            self._leave()
            self._nft.close(keep=keep)

    def _leave(self) -> None:
        try:
            self._htb.restore()
        finally:
            self._htb.close()

    def _fill(self, elements: Iterable[Element]) -> None:
        """Make the maps hold all they should; classes that are there already stay."""
        self._nft.send(empty())
        self._add(list(elements))
        self._nft.send(shape(self._htb.held))

    def _add(self, elements: Sequence[Element]) -> None:
        if not elements:
            return
        given = [self._lanes.put(e) for e in elements]
        lanes = [lane for lane in given if lane]
        if len(lanes) < len(given):
            problem = f"all {self._most} classes are in use; further throttles are policed"
            self._report({**self._problems, "*": problem})
        self._htb.put(lanes)
        self._nft.send(point(lanes, self._clock()))

    def _drop(self, lanes: Sequence[Lane]) -> None:
        if lanes:
            self._nft.send(unpoint(lanes, self._clock()))
            self._drain(lanes)

    def _drain(self, lanes: Sequence[Lane]) -> None:
        """Let what waits in classes go at once: removed now, they would take it with them."""
        self._htb.put(Lane(one.minor, replace(one.element, rate=MOST_RATE)) for one in lanes)
        self._draining += lanes

    def _tidy(self) -> None:
        drained, self._draining = self._draining[:AT_ONCE], self._draining[AT_ONCE:]
        self._htb.remove(drained)
        self._lanes.free(drained)
        self._drain(self._lanes.lapsed(self._clock()))

    def _look(self) -> None:
        before = set(self._htb.held)
        fresh, lost = self._htb.look()
        if fresh:
            self._htb.put(self._lanes.used.values(), fresh)
        if before != set(self._htb.held):
            self._nft.send(shape(self._htb.held))
        full = len(self._lanes.used) >= self._most
        self._report({**({"*": self._problems.get("*", "")} if full else {}), **lost})

    def _report(self, problems: dict[str, str]) -> None:
        for name, problem in problems.items():
            if self._problems.get(name, "") != problem:
                self.tell("shaping.lost", interface=name, problem=problem)
        self._problems = problems
