"""Record lines of a made-up day: the same for the same seed, with documentation addresses only.

Tenants call through an SDK from a few addresses each, people chat from behind NATs and from v6
homes of their own, coding agents send long conversations that grow by a turn; probes ask for
health in plaintext. It is for measuring speed and for tests: it says nothing about detection.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

START = 1_767_571_200.0
V4_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/141.0.0.0 Safari/537.36"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.6 Safari/605.1.15"
)
STACKS = (
    ("t13d1812h1_85036bcba153_b26ce05bbdd6", "http/1.1", "OpenAI/Python 2.8.0"),
    ("t13d1812h1_85036bcba153_375ca2c5e164", "http/1.1", "python-httpx/0.28.1"),
    ("t13d521100_b262b3658495_8e6e362c5eac", "h2", "anthropic-sdk-typescript/0.60.0"),
    ("t13d591000_a33745022dd6_5ac7197df9d2", "h2", "agent-cli/2.0.14 (linux; x64; node/22.11)"),
    ("t13d1516h2_8daaf6152771_d8a2da3f94cd", "h2", WINDOWS),
    ("t13d1517h2_8daaf6152771_b6f405a00624", "h2", MAC),
)
SDKS, AGENT, BROWSERS = STACKS[:3], STACKS[3], STACKS[4:]


@dataclass(slots=True)
class Source:
    """One tenant, agent or person: where requests come from, as whom, and of which shape."""

    clients: list[str]
    accounts: list[str]
    stack: tuple[str, str, str]
    template: str
    input_tokens: int
    output_tokens: int
    turns: int
    chain: list[str] = field(default_factory=list)


class Simulation:
    """A population and its requests, `rate` a second on average."""

    def __init__(self, seed: int = 1, *, sources: int = 3_000, rate: float = 12.0) -> None:
        self._chance = random.Random(seed)
        self._rate = rate
        self._nats = [f"{net}.{n}" for net in V4_NETWORKS for n in range(1, 255)]
        makers: tuple[Callable[[int], Source], ...] = (self._tenant, self._agent, self._person)
        kinds = self._chance.choices(makers, weights=(2, 5, 93), k=sources)
        self._sources = [make(n) for n, make in enumerate(kinds)]
        # A tenant calls some thousand times as often as a person asks.
        weight = {self._tenant: 600.0, self._agent: 20.0, self._person: 5.0}
        self._weights = [weight[make] * self._chance.expovariate(1.0) for make in kinds]

    def lines(self, count: int) -> Iterator[bytes]:
        """Yield so many lines, in order of time, without their newlines."""
        now = START
        picked = self._chance.choices(self._sources, weights=self._weights, k=count)
        for source in picked:
            now += self._chance.expovariate(self._rate)
            probe = self._chance.random() < 0.04
            fields = self._probe() if probe else self._request(source)
            yield json.dumps({"ts": round(now, 3)} | fields, separators=(",", ":")).encode()

    def _hex(self, digits: int = 16) -> str:
        return f"{self._chance.getrandbits(4 * digits):0{digits}x}"

    def _tenant(self, _: int) -> Source:
        clients = self._chance.sample(self._nats, self._chance.randint(1, 4))
        accounts = [f"k_{self._hex()}" for _ in range(self._chance.randint(1, 12))]
        size = self._chance.choice((250, 900, 3_000))
        sdk = self._chance.choice(SDKS)
        return Source(clients, accounts, sdk, self._hex(), size, size // 8, 1)

    def _agent(self, number: int) -> Source:
        clients = [self._home(number), self._chance.choice(self._nats)]
        return Source(clients, [f"k_{self._hex()}"], AGENT, self._hex(), 9_000, 300, 40)

    def _person(self, number: int) -> Source:
        browser = self._chance.choice(BROWSERS)
        v6 = self._chance.random() < 0.5
        clients = [self._home(number) if v6 else self._chance.choice(self._nats)]
        return Source(clients, [f"k_{self._hex()}"], browser, "5f0c3a1d9be24476", 700, 350, 6)

    def _home(self, number: int) -> str:
        host = self._chance.getrandbits(16)
        return f"2001:db8:{number >> 4:x}:{(number & 15) << 8:x}::{host:x}"

    def _conversation(self, source: Source) -> list[str]:
        """Return the hash chain of the next turn, at most the first and last four of it."""
        if len(source.chain) > source.turns:
            source.chain.clear()
        source.chain += [self._hex()] if source.chain else [source.template, self._hex()]
        chain = source.chain
        return chain if len(chain) <= 8 else chain[:4] + chain[-4:]

    def _request(self, source: Source) -> dict[str, object]:
        chance = self._chance
        ja4, alpn, agent = source.stack
        refused = chance.random() < 0.02
        asked = max(1, int(source.input_tokens * chance.lognormvariate(0.0, 0.8)))
        told = 0 if refused else max(1, int(source.output_tokens * chance.lognormvariate(0.0, 0.9)))
        first_s = round(chance.uniform(0.1, 0.9), 3)
        return {
            "client": chance.choice(source.clients),
            "client_port": chance.randint(1_024, 65_535),
            "account": chance.choice(source.accounts),
            "org": f"org_{source.template}",
            "method": "POST",
            "path": "/v1/chat/completions",
            "status": 429 if refused else 200,
            "request_id": self._hex(),
            "model": "m-mid",
            "input_tokens": asked,
            "output_tokens": told,
            "bytes_in": 400 + 4 * asked,
            "bytes_out": 300 + 22 * told,
            "duration": round(first_s + told / 60.0, 3),
            "ttfb": first_s,
            "tls": "TLSv1.3",
            "ja4": ja4,
            "sni": "api.inference.example",
            "alpn": alpn,
            "user_agent": agent,
            "prompt": self._conversation(source),
            "simhash": self._hex(),
            "max_tokens": 8_192,
            "temperature": 0.7,
            "stream": source.turns > 1,
        }

    def _probe(self) -> dict[str, object]:
        return {
            "client": "192.0.2.254",
            "client_port": self._chance.randint(1_024, 65_535),
            "method": "GET",
            "path": "/health",
            "status": 200,
            "request_id": self._hex(),
            "bytes_out": 120,
            "duration": 0.005,
            "ttfb": 0.005,
            "tls": "none",
            "user_agent": "kube-probe/1.31",
        }
