"""A day or more of requests, as lines that excise reads and rows that tell the truth. Pure."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from excise.errors import InvalidError
from excise.simulate.campaigns import CAMPAIGNS
from excise.simulate.people import everybody
from excise.simulate.stress import STRESS
from excise.simulate.traffic import DECODE_RATE, Ask, Town

Maker = Callable[..., Iterator[Ask]]
MAKERS: dict[str, Maker] = {**CAMPAIGNS, **STRESS}
#: names that stand for several
GROUPS = {"campaigns": tuple(CAMPAIGNS), "stress": tuple(STRESS)}
#: a chain holds the first and the last this many entries (record v1)
ENDS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make: `add` names campaigns and stress cases, `options` their parameters by name."""

    seed: int = 1
    days: float = 1.0
    requests: int = 100_000
    add: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    hashes: bool = True


class Row(NamedTuple):
    """One line of the truth. `start` and `ts`: when the request began and was logged."""

    ts: float
    start: float
    client: str
    account: str
    output_tokens: int
    case: str
    hostile: bool
    user: str


def compose(plan: Plan) -> Iterator[tuple[bytes, Row]]:
    """Yield log lines in order of time, each with its row. Raises InvalidError for a bad plan."""
    makers = _chosen(plan)
    town = Town(random.Random(f"{plan.seed}/ordinary"), plan.days)  # noqa: S311 (reproducible)
    made = list(everybody(town, plan.requests))
    town.output = float(sum(ask.output_tokens for ask in made))
    for name, make in makers:
        # Chance of its own: adding one maker does not change the others.
        town.chance = random.Random(f"{plan.seed}/{name}")  # noqa: S311 (reproducible)
        made += make(town, **plan.options.get(name, {}))
    salt = f"{plan.seed}".encode()
    ended = [(ask.start + _duration(ask), n) for n, ask in enumerate(made) if ask.start < town.end]
    for ts, n in sorted(ended):
        yield _line(made[n], ts, salt if plan.hashes else None), _row(made[n], ts)


def parameters(name: str) -> dict[str, float]:
    """Return the parameters of a campaign or stress case with their defaults."""
    given = inspect.signature(MAKERS[name]).parameters.values()
    return {p.name: p.default for p in given if isinstance(p.default, (int, float))}


def _chosen(plan: Plan) -> list[tuple[str, Maker]]:
    if plan.days <= 0 or plan.requests < 1:
        raise InvalidError("a plan takes at least one request and more than no time")
    names: dict[str, None] = {}
    for name in plan.add:
        names |= dict.fromkeys(GROUPS.get(name, (name,)))
    for name in (*names, *plan.options):
        if name not in MAKERS:
            known = ", ".join((*GROUPS, *MAKERS))
            raise InvalidError(f"nothing is called {name!r}; there are {known}")
    for name, given in plan.options.items():
        if name not in names:
            raise InvalidError(f"a parameter is set for {name!r}, which is not added")
        for key in given.keys() - parameters(name).keys():
            known = ", ".join(parameters(name)) or "none"
            raise InvalidError(f"{name} has no parameter {key!r}; it has {known}")
    return [(name, MAKERS[name]) for name in names]


def _duration(ask: Ask) -> float:
    return 0.2 + ask.input_tokens / 20_000.0 + ask.output_tokens / DECODE_RATE


def _row(ask: Ask, ts: float) -> Row:
    return Row(
        round(ts, 3),
        round(ask.start, 3),
        ask.client,
        ask.account,
        ask.output_tokens,
        ask.case,
        ask.hostile,
        ask.user,
    )


def _line(ask: Ask, ts: float, salt: bytes | None) -> bytes:
    ja4, alpn, user_agent = ask.stack
    fields: dict[str, object] = {
        "ts": round(ts, 3),
        "client": ask.client,
        "method": "POST" if ask.template else "GET",
        "path": ask.path,
        "status": ask.status,
        "model": ask.model if ask.template else "",
        "output_tokens": ask.output_tokens,
        "input_tokens": ask.input_tokens,
        "bytes_in": 400 + 4 * ask.input_tokens,
        "bytes_out": 300 + 22 * ask.output_tokens,
        "duration": round(ts - ask.start, 3),
        "ttfb": round(0.2 + ask.input_tokens / 20_000.0, 3),
        "tls": ask.tls,
        "user_agent": user_agent,
        "max_tokens": ask.max_tokens,
    }
    told = {"account": ask.account, "org": ask.org, "ja4": ja4, "alpn": alpn}
    fields |= {name: value for name, value in told.items() if value}
    if ask.logprobs:
        fields |= {"logprobs": ask.logprobs, "logit_bias": ask.logit_bias}
    if salt is not None and ask.template:
        fields["prompt"] = _chain(ask, salt)
        fields["simhash"] = _hash(salt, f"said {ask.talk} {ask.turn}")
    return json.dumps(fields, separators=(",", ":")).encode()


def _chain(ask: Ask, salt: bytes) -> list[str]:
    """Return the prompt's hashes: the template, then two messages a turn, the ends alone."""
    last = 2 * ask.turn + 1
    entries = [*range(1, last + 1)]
    if last + 1 > 2 * ENDS:
        entries = [*range(1, ENDS), *range(last - ENDS + 1, last + 1)]
    return [ask.template, *(_hash(salt, f"{ask.talk} {n}") for n in entries)]


def _hash(salt: bytes, text: str) -> str:
    return blake2b(text.encode(), digest_size=8, key=salt).hexdigest()
