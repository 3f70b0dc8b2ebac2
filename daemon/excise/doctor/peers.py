"""Whether the clients in the samples are clients, or proxies that nobody named. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from excise.config import Config
from excise.decide.realip import doubt
from excise.doctor.check import Check, State
from excise.doctor.sample import Sample
from excise.engine import Engine
from excise.model.record import Record
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

#: enough for what a sample holds
_ROOM = Capacity(8192, 8192, 4096, 4096, 1024, 1024, 16_384)
#: proxies are few: so many addresses at most are named
FEW = 8
#: share of the requests with a forwarding header that these few must carry to be named
SHARE = 0.9
LEAST = 20
#: share of the requests that came through proxies from which on that is worth a word
THROUGH = 0.1
ADVICE = (
    "name your proxies in trusted_proxies and log X-Forwarded-For, or set up the gateway's real-IP"
    " module; if these are clients: confirm_peers: true. See docs/trust.md"
)


@dataclass(frozen=True, slots=True)
class Forwarders:
    """Addresses whose requests tell of other hops, and the share of all requests that they are."""

    addresses: tuple[str, ...]
    share: float


def check_peers(samples: Sequence[Sample], config: Config) -> Iterator[Check]:
    """Whether few addresses carry nearly everything, and who seems to forward for others."""
    for sample in samples:
        if not sample.records:
            continue
        yield from _through(sample)
        why = doubted(sample.records)
        if why and not config.confirm_peers:
            text = f"{sample.name}: the real-IP set-up seems to be wrong: {why}"
            yield Check("real IP", State.WARN, f"{text}: no network would be enforced", ADVICE)
        found = forwarders(sample.records)
        if found is not None:
            yield Check(
                "trusted proxies",
                State.WARN,
                f"{sample.name}: {found.share:.0%} of requests come from"
                f" {', '.join(found.addresses)} with a header that tells of other hops, which"
                " nobody trusted vouches for",
                f"if that is your proxy: trusted_proxies: [{', '.join(found.addresses)}]; if it is"
                " a client, leave it out: it could then name whomever it likes",
            )


def _through(sample: Sample) -> Iterator[Check]:
    behind = sum(bool(r.peer) and r.peer != r.client for r in sample.records) / len(sample.records)
    if behind >= THROUGH:
        text = f"{sample.name}: {behind:.0%} of requests came through a proxy, whose packets they"
        text += " are: for these only verdicts on accounts help, nothing in the kernel"
        yield Check("behind proxies", State.OK, text, "see docs/gateways-verdicts.md")


def doubted(records: Sequence[Record]) -> str:
    """Return why the clients seem to be proxies, as the daemon would find, `""` if not."""
    engine = Engine(Settings(capacity=_ROOM), Rulebook())
    engine.step([Observed(sorted(records, key=lambda r: r.ts))])
    return doubt(engine.world, engine.clock)


def forwarders(records: Sequence[Record]) -> Forwarders | None:
    """Return the few addresses that nearly all unbelieved headers came from; None: no such few."""
    told = Counter(r.peer or r.client for r in records if r.unbelieved_hops > 0)
    if told.total() < LEAST:
        return None
    few = told.most_common(FEW)
    if sum(count for _, count in few) < SHARE * told.total():
        return None
    return Forwarders(tuple(sorted(a for a, _ in few)), told.total() / len(records))
