"""What the makers of traffic share: a request as a value, addresses, times and sizes. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

HOUR_S, DAY_S = 3_600.0, 86_400.0
#: 2026-01-05T00:00:00Z, a Monday
START = 1_767_571_200.0
#: what a model of the middle puts out, tokens a second
DECODE_RATE = 60.0


class Stack(NamedTuple):
    """A client program as the gateway sees it. JA4 strings have the form, hashes are made up."""

    ja4: str
    alpn: str
    user_agent: str


SDKS = (
    Stack("t13d1812h1_85036bcba153_b26ce05bbdd6", "http/1.1", "OpenAI/Python 2.8.0"),
    Stack("t13d1812h1_85036bcba153_375ca2c5e164", "http/1.1", "python-httpx/0.28.1"),
    Stack("t13d521100_b262b3658495_8e6e362c5eac", "h2", "anthropic-sdk-typescript/0.60.0"),
)
HARNESSES = (
    Stack("t13d591000_a33745022dd6_5ac7197df9d2", "h2", "agent-cli/2.0.14 (linux; x64)"),
    Stack("t13d591000_a33745022dd6_9ac2197df9e1", "h2", "editor-agent/1.104 (darwin; arm64)"),
)
BROWSERS = (
    Stack("t13d1516h2_8daaf6152771_d8a2da3f94cd", "h2", "Mozilla/5.0 (Windows NT 10.0) Chrome/141"),
    Stack("t13d1517h2_8daaf6152771_b6f405a00624", "h2", "Mozilla/5.0 (Macintosh) Safari/605.1.15"),
)
SCRIPT = Stack("t13d190900_9dc949149365_97f8aa674fd9", "http/1.1", "python-requests/2.32.3")
PROBE = Stack("", "", "kube-probe/1.31")


class Ask(NamedTuple):
    """One request with its label. `talk` and `turn` say which conversation it continues.

    `case` names the maker, `hostile` whether that is a campaign, `user` the person or customer.
    """

    start: float
    client: str
    account: str
    user: str
    case: str
    hostile: bool
    stack: Stack
    template: str
    talk: int
    turn: int
    input_tokens: int
    output_tokens: int
    org: str = ""
    status: int = 200
    model: str = "m-mid"
    path: str = "/v1/chat/completions"
    logprobs: int = 0
    logit_bias: int = 0
    max_tokens: int = 8_192
    tls: str = "TLSv1.3"


@dataclass(slots=True)
class Town:
    """Where requests are made: chance, the span of time, who lives where.

    Addresses are of RFC 2544 (198.18.0.0/15, for benchmarks) and RFC 3849 (2001:db8::/32).
    """

    chance: random.Random
    days: float = 1.0
    #: output tokens of everybody ordinary; campaigns are sized by it
    output: float = 0.0
    #: addresses behind which several people live
    shared: list[str] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)
    _talks: int = 0

    @property
    def end(self) -> float:
        """Return when the log ends, epoch seconds."""
        return START + self.days * DAY_S

    def when(self, share: float) -> float:
        """Return the moment at a share of the span."""
        return START + share * self.days * DAY_S

    def server(self) -> str:
        """Return an address of a machine in a data centre that nobody else has."""
        return self._v4(18)

    def shared_address(self) -> str:
        """Return a v4 address behind which several people live."""
        self.shared.append(self._v4(19))
        return self.shared[-1]

    def home(self) -> str:
        """Return an address of a home of its own: v6 for seven in ten, in a /64 of its own."""
        if self.chance.random() < 0.3:
            return self._v4(19)
        site, net = self.chance.getrandbits(16), self.chance.getrandbits(16)
        return f"2001:db8:{site:x}:{net:x}::{self.chance.getrandbits(16):x}"

    def _v4(self, second: int) -> str:
        while True:
            address = f"198.{second}.{self.chance.randrange(256)}.{self.chance.randrange(1, 255)}"
            if address not in self._taken:
                self._taken.add(address)
                return address

    def hash(self) -> str:
        """Return sixteen hex digits."""
        return f"{self.chance.getrandbits(64):016x}"

    def key(self) -> str:
        """Return an account id."""
        return f"k-{self.chance.getrandbits(48):012x}"

    def talk(self) -> int:
        """Return the number of a new conversation."""
        self._talks += 1
        return self._talks

    def tokens(self, median: float, octaves: float = 1.0) -> int:
        """Return a length: log-normal, as lengths of prompts and answers are (ServeGen)."""
        return max(1, int(median * 2.0 ** self.chance.gauss(0.0, octaves)))

    def by_day(self, peak_hour: float = 14.0, depth: float = 0.7) -> float:
        """Return a moment of the span as people are awake (a raised cosine over the day)."""
        while True:
            at = self.chance.uniform(START, self.end)
            hour = (at - START) / HOUR_S % 24.0
            wave = (1.0 + math.cos((hour - peak_hour) * math.pi / 12.0)) / 2.0
            if self.chance.random() < 1.0 - depth + depth * wave:
                return at

    def heavy_tail(self, n: int, alpha: float = 1.2) -> list[float]:
        """Return n weights that sum to 1: Pareto, so that few do most (ServeGen, BurstGPT)."""
        weights = [self.chance.paretovariate(alpha) for _ in range(n)]
        total = sum(weights)
        return [w / total for w in weights]


@dataclass(frozen=True, slots=True)
class Who:
    """Whose requests these are: what stays the same from one to the next."""

    case: str
    user: str
    account: str
    stack: Stack
    template: str
    org: str = ""
    hostile: bool = False


def conversation(
    town: Town,
    who: Who,
    client: str,
    begin: float,
    *,
    turns: int,
    first_input: float,
    output: float,
    pause_s: float,
) -> Iterator[Ask]:
    """Yield a conversation: each prompt holds what was said before, and pauses are log-normal."""
    at, talk, context = begin, town.talk(), town.tokens(first_input, 0.7)
    for turn in range(turns):
        told = town.tokens(output, 1.1)
        yield ask(town, who, client, at, asked=context, told=told, talk=talk, turn=turn)
        context += told + town.tokens(60.0)
        at += told / DECODE_RATE + town.tokens(pause_s * 8.0, 1.3) / 8.0


def ask(
    town: Town,
    who: Who,
    client: str,
    at: float,
    *,
    asked: int,
    told: int,
    talk: int = 0,
    turn: int = 0,
) -> Ask:
    """Return one request; without `talk` it begins a conversation."""
    return Ask(
        start=at,
        client=client,
        account=who.account,
        user=who.user,
        case=who.case,
        hostile=who.hostile,
        stack=who.stack,
        template=who.template,
        talk=talk or town.talk(),
        turn=turn,
        input_tokens=asked,
        output_tokens=told,
        org=who.org,
    )


def fleet(
    town: Town,
    members: Sequence[Who],
    exit_of: Callable[[Who], str],
    times: Iterable[float],
    *,
    asked: float,
    told: float,
    octaves: float = 0.8,
) -> Iterator[Ask]:
    """Yield what a scheduler deals to the members of a pool: each request to one at random."""
    for at in times:
        who = town.chance.choice(members)
        sizes = town.tokens(asked), town.tokens(told, octaves)
        yield ask(town, who, exit_of(who), at, asked=sizes[0], told=sizes[1])


def evenly(town: Town, count: int, begin: float, end: float) -> list[float]:
    """Return moments of a Poisson process, in order."""
    return sorted(town.chance.uniform(begin, end) for _ in range(count))
