"""The act of the hydra: many accounts over many addresses, each slower than an honest person."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from demo.meter import Seconds, rate
from demo.shapes import HYDRA, OFFICE, PERSON
from demo.verdicts import Verdict

if TYPE_CHECKING:
    from demo.story import Story

#: what ten minutes are in an installation
PASS_S = 3
BACK_WITHIN_S, FOUND_WITHIN_S = 30.0, 20.0
TOGETHER_S = 12.0
MEASURED_S = 6.0
#: answers under way, and the bucket's first second
SETTLE_S = 3.0
#: what may be left of its bytes on the strictest tier, which halves again with every answer
LEFT = 0.35
EXITS = tuple(a for a in HYDRA.addresses if a not in OFFICE.addresses)


class Hydra:
    """Starts beside the other acts, so that it has a past when its own begins."""

    def __init__(self, story: Story) -> None:
        self.story, self.stage, self.checks = story, story.stage, story.checks
        self.honest: set[str] = set()
        self.began = self.found_at = 0.0
        self.campaign = ""

    def joins(self) -> None:
        self.honest = self.stage.accounts((PERSON, OFFICE))
        self.stage.title(
            f"A hydra joins: {len(HYDRA.accounts)} accounts over {len(HYDRA.addresses)} addresses,"
            " one of them a machine in the office"
        )
        self.began = time.time()
        self.story.clients(HYDRA.name, HYDRA)

    def tell(self) -> None:
        self.found()
        self.met()
        self.stopped()
        self.shown()

    def found(self) -> None:
        self.stage.title(f"Campaigns are looked for, here every {PASS_S} s instead of 10 min")
        # a pool shows itself when its accounts come back, each from elsewhere
        self.stage.wait(self.came_back, BACK_WITHIN_S)
        slower = self.pace() < self.story.pace(PERSON)
        seen = f"{self.pace():.2f}/s an account, {self.story.pace(PERSON):.2f}/s a person"
        self.checks.that("each of its accounts is slower than an honest person", slower, seen)
        with self.story.daemon.config.open("a") as file:
            file.write(f"policy: {{campaign_pass: {PASS_S}s}}\n")
        self.story.daemon.cli("reload")
        self.stage.wait(lambda: bool(self.verdicts()), FOUND_WITHIN_S)
        named = {v.campaign for v in self.verdicts()}
        after = min((v.ts for v in self.verdicts()), default=time.time()) - self.began
        seen = f"{', '.join(sorted(named))}, {after:.0f} s after it came"
        self.checks.that("it is found as one campaign", len(named) == 1, seen)
        self.campaign = next(iter(named), "")
        self.found_at = time.time()

    def came_back(self) -> bool:
        exits = set(HYDRA.addresses)
        times = Counter(x.account for x in self.stage.logged
                        if x.client in exits and x.account not in self.honest)  # fmt: skip
        return len(times) >= len(HYDRA.accounts) and min(times.values()) >= 2

    def pace(self) -> float:
        """Requests a second and account."""
        span = (self.began + SETTLE_S, time.time())
        return self.stage.meter.over(span, HYDRA.name).requests_s / len(HYDRA.accounts)

    def verdicts(self) -> list[Verdict]:
        """Everything enforced for the campaign of hydra's addresses and accounts."""
        mine = {f"{a}/32" for a in EXITS} | self.accounts()
        return [v for v in self.stage.verdicts
                if v.enforcing and v.campaign and v.target in mine]  # fmt: skip

    def accounts(self) -> set[str]:
        """Return the ids under which the gateway logged hydra's accounts."""
        exits = set(EXITS)
        return {x.account for x in self.stage.logged if x.client in exits}

    def met(self) -> None:
        self.stage.title("All members are met together")
        self.stage.wait(self.all_met, TOGETHER_S + 6.0)
        verdicts = self.verdicts()
        first: dict[str, float] = {}
        for v in verdicts:
            first.setdefault(v.target, v.ts)
        accounts = {v.target for v in verdicts if v.plane == "account"}
        denied = {v.target for v in verdicts if v.action == "deny"}
        exits = {v.target for v in verdicts if v.plane == "network"}
        took = max(first.values(), default=0.0) - min(first.values(), default=0.0)
        self.stage.say(f"{len(exits)} addresses, {len(accounts)} accounts, {len(denied)} denied")
        self.checks.that("every account of it is denied, for a gateway to ask",
                         bool(denied) and self.accounts() <= denied,
                         f"{len(denied)} of {len(self.accounts())}")  # fmt: skip
        self.checks.that("every address that is its alone is throttled in the kernel",
                         len(exits) == len(EXITS), f"{len(exits)} of {len(EXITS)}")  # fmt: skip
        self.checks.that("all within seconds of the first", 0.0 <= took <= TOGETHER_S,
                         f"{took:.1f} s from the first to the last")  # fmt: skip

    def all_met(self) -> bool:
        denied = {v.target for v in self.verdicts() if v.action == "deny"}
        exits = {v.target for v in self.verdicts() if v.plane == "network" and v.tier == "crawl"}
        return len(exits) == len(EXITS) and self.accounts() <= denied

    def stopped(self) -> None:
        self.stage.title("What it still gets, and the office meanwhile")
        start = time.time() + SETTLE_S
        self.stage.wait(lambda: time.time() >= start + MEASURED_S, SETTLE_S + MEASURED_S + 2)
        now: Seconds = (start, time.time())
        before: Seconds = (self.began + SETTLE_S, self.found_at)
        was, got = (self.stage.meter.over(s, HYDRA.name, EXITS).bytes_s for s in (before, now))
        self.checks.that("its bytes fall", got < LEFT * was, f"{rate(was)} before, {rate(got)} now")
        seen = self.stage.meter.over(now, OFFICE.name)
        spared = [v.target for v in self.stage.verdicts if v.enforcing
                  and v.target in {f"{a}/32" for a in OFFICE.addresses}]  # fmt: skip
        self.checks.that("the office's address is spared", not spared, ", ".join(spared))
        self.checks.that("the office goes on working", seen.done > 0 and seen.failed == 0,
                         f"{seen.done} done, {seen.failed} failed")  # fmt: skip
        harmed = [v.target for v in self.stage.verdicts if v.enforcing and v.target in self.honest]
        self.checks.that("no honest account is denied or throttled", not harmed, ", ".join(harmed))

    def shown(self) -> None:
        self.stage.title("What an operator sees: excise campaigns, excise explain")
        print(self.story.daemon.cli("campaigns").strip())
        told = self.story.daemon.cli("explain", self.campaign).strip() if self.campaign else ""
        print("\n".join(told.splitlines()[:24]))
        named = {m["account"] for m in self.members()}
        mine = self.accounts()
        self.checks.that("its members are the hydra's accounts and nobody else's",
                         bool(named) and named <= mine and len(named) == len(HYDRA.accounts),
                         f"{len(named & mine)} of {len(HYDRA.accounts)}")  # fmt: skip

    def members(self) -> list[Any]:
        if not self.campaign:
            return []
        found: list[Any] = self.story.daemon.get(f"/v1/campaigns/{self.campaign}")["accounts"]
        return found
