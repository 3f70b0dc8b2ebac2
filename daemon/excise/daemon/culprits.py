"""Who changed the kernel's tables, remembered until it is known what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from excise.enforce.base import ForeignChange, Witnessed
from excise.log import Log
from excise.model.view import AuditView

#: told of one repair
MOST_NAMED = 4
#: what is said where nobody was heard
UNKNOWN = "by others"


@dataclass(slots=True)
class Culprits:
    """Takes what was heard, logs it, and names who is to be named; `wall()` is epoch seconds."""

    log: Log
    wall: Callable[[], float]
    state: str = "off"
    foreign: int = 0
    others: int = 0
    lost: int = 0
    last: str = ""
    last_ts: float | None = None
    _before: list[ForeignChange] = field(default_factory=list)
    _now: list[ForeignChange] = field(default_factory=list)

    def heard(self, news: Witnessed) -> None:
        """Take what was heard since the last time."""
        self.foreign += len(news.changes)
        self.others += news.others
        self.lost += news.lost
        if news.problem and news.problem != self.state:
            self.log.warning("enforce.audit_failed", reason=news.problem)
        if news.lost:
            self.log.warning("enforce.audit_lost", times=news.lost)
        self.state = news.problem or ("listening" if news.listening else "off")
        for change in news.changes:
            self.last, self.last_ts = str(change), self.wall()
            self.log.warning(
                "enforce.foreign_change", pid=change.pid, process=change.process, did=change.deeds
            )
        self._now += news.changes

    def pass_over(self) -> None:
        """Note that all is well; what was just heard may still turn out to matter."""
        self._before, self._now = self._now, []

    def named(self) -> str:
        """Say who did what since all was well, and forget it."""
        heard = list(dict.fromkeys(map(str, [*self._before, *self._now])))
        self._before, self._now = [], []
        if not heard:
            return UNKNOWN
        more = f", and {len(heard) - MOST_NAMED} more" if len(heard) > MOST_NAMED else ""
        return "; ".join(heard[:MOST_NAMED]) + more

    def view(self) -> AuditView:
        """Return it as shown."""
        return AuditView(self.state, self.foreign, self.others, self.lost, self.last, self.last_ts)
