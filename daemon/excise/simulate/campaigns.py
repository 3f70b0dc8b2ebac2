"""Campaigns that harvest the model, as they were reported or as they must work. Pure.

`share` is a campaign's output relative to that of everybody ordinary on this host; the number of
accounts follows from it and from requests an account and day (`per_day`), as reported: public
reports of 2026 on distillation campaigns give 6 to 1,100 requests an account and day over 273 to
25,000 accounts. Residential exits change with every request (back-connect proxies).
"""

from __future__ import annotations

from collections.abc import Iterator

from excise.simulate.traffic import (
    BROWSERS,
    DECODE_RATE,
    HARNESSES,
    HOUR_S,
    SCRIPT,
    SDKS,
    Ask,
    Stack,
    Town,
    Who,
    ask,
    conversation,
    evenly,
    fleet,
)

#: a campaign begins here, so that there is a usual before it
BEGIN, END = 0.15, 0.98
#: a question and the answer that is wanted, medians in tokens: reasoning traces of data sets made
#: for distillation are some 4,700 tokens long on average (arXiv 2501.19393)
ASKED, TOLD = 180.0, 4_000.0
#: mean over median of lengths with a spread of 0.8 octaves
MEAN = 1.17


def _count(town: Town, share: float, told: float = TOLD) -> int:
    return max(40, int(share * town.output / (told * MEAN)))


def _members(
    town: Town, case: str, accounts: int, stack: Stack = SCRIPT, template: str = ""
) -> list[Who]:
    prompt = template or town.hash()
    return [Who(case, case, town.key(), stack, prompt, "", True) for _ in range(accounts)]


def _pool(town: Town, case: str, count: int, per_day: float) -> list[Who]:
    days = town.days * (END - BEGIN)
    return _members(town, case, max(12, round(count / (per_day * days))))


def _times(town: Town, count: int, begin: float = BEGIN, end: float = END) -> list[float]:
    return evenly(town, count, town.when(begin), town.when(end))


def bulk(
    town: Town, *, share: float = 0.15, streams: int = 16, told: float = TOLD
) -> Iterator[Ask]:
    """Yield one key at one address that keeps 16 answers under way until it has what it wants."""
    who, client, count = _members(town, "bulk", 1), town.server(), _count(town, share, told)
    lasts_s = count * told * MEAN / DECODE_RATE / streams
    times = evenly(town, count, town.when(BEGIN), town.when(BEGIN) + lasts_s)
    yield from fleet(town, who, lambda _: client, times, asked=ASKED, told=told)


def stolen_key(town: Town, *, share: float = 0.15, exits: int = 300) -> Iterator[Ask]:
    """Yield a copied key at hundreds of addresses, while its owner goes on from one of its own."""
    key, home, prompt = town.key(), town.server(), town.hash()
    owner = Who("stolen_key_owner", "stolen_key_owner", key, SDKS[0], prompt)
    for at in _times(town, 400, 0.0, END):
        yield ask(town, owner, home, at, asked=town.tokens(900), told=town.tokens(150))
    thief = [Who("stolen_key", "stolen_key", key, SCRIPT, town.hash(), "", True)]
    addresses = [town.home() for _ in range(exits)]
    times = _times(town, _count(town, share))
    yield from fleet(
        town, thief, lambda _: town.chance.choice(addresses), times, asked=ASKED, told=TOLD
    )


def rotation(town: Town, *, share: float = 0.15, per_day: float = 280, exits: int = 24
             ) -> Iterator[Ask]:  # fmt: skip
    """Yield keys that are rotated behind a few data-centre addresses (273 keys in ten days)."""
    count = _count(town, share)
    members, addresses = (
        _pool(town, "rotation", count, per_day),
        [town.server() for _ in range(exits)],
    )
    yield from fleet(
        town, members, lambda _: town.chance.choice(addresses), _times(town, count),
        asked=ASKED, told=TOLD,
    )  # fmt: skip


def subnet_walk(town: Town, *, share: float = 0.15, per_net: int = 15, keys: int = 12
                ) -> Iterator[Ask]:  # fmt: skip
    """Yield a rented /48 that is walked through: a few requests from each /64, then the next."""
    members, base = _members(town, "subnet_walk", keys), town.chance.getrandbits(16)
    dealt = 0

    def exit_of(_: Who) -> str:
        nonlocal dealt
        dealt += 1
        net = dealt // per_net & 0xFFFF
        return f"2001:db8:{base:x}:{net:x}::{town.chance.getrandbits(16):x}"

    yield from fleet(town, members, exit_of, _times(town, _count(town, share)), asked=ASKED,
                     told=TOLD)  # fmt: skip


def hydra(
    town: Town, *, share: float = 0.15, per_day: float = 26, told: float = TOLD, case: str = "hydra"
) -> Iterator[Ask]:
    """Yield thousands of accounts at 26 requests a day through homes of others, one template."""
    count = _count(town, share, told)
    members = _pool(town, case, count, per_day)
    exits = [town.home() for _ in range(max(30, count // 3))]
    yield from fleet(
        town, members, lambda _: town.chance.choice(exits), _times(town, count),
        asked=ASKED, told=told,
    )  # fmt: skip


def dense_hydra(town: Town, *, share: float = 0.3, per_day: float = 857) -> Iterator[Ask]:
    """Yield the same with fewer accounts that do more: 857 requests a day each, at peak."""
    yield from hydra(town, share=share, per_day=per_day, case="dense_hydra")


def machines(town: Town, *, share: float = 0.3, per_day: float = 300, exits: int = 12
             ) -> Iterator[Ask]:  # fmt: skip
    """Yield accounts that a few rented machines share: each is on one of them for an hour."""
    count = _count(town, share)
    members, rented = _pool(town, "machines", count, per_day), [town.server() for _ in range(exits)]
    on: dict[tuple[str, int], str] = {}
    for at in _times(town, count):
        who = town.chance.choice(members)
        client = on.setdefault((who.account, int(at // HOUR_S)), town.chance.choice(rented))
        yield ask(town, who, client, at, asked=town.tokens(ASKED), told=town.tokens(TOLD, 0.8))


def slow(town: Town, *, share: float = 0.08, per_day: float = 13) -> Iterator[Ask]:
    """Yield the same at 13 requests an account and day."""
    yield from hydra(town, share=share, per_day=per_day, case="slow")


def paraphrased(town: Town, *, share: float = 0.15, per_day: float = 26, exits: int = 6
                ) -> Iterator[Ask]:  # fmt: skip
    """Yield a hydra that hides: a prompt of its own for each account, a few exits, human hours."""
    count = _count(town, share)
    accounts = max(12, round(count / (per_day * town.days)))
    members = [
        Who("paraphrased", "paraphrased", town.key(), town.chance.choice(BROWSERS), town.hash(),
            "", True) for _ in range(accounts)
    ]  # fmt: skip
    homes = {who.account: [town.home() for _ in range(exits)] for who in members}
    times = sorted(town.by_day() for _ in range(count))
    yield from fleet(
        town, members, lambda who: town.chance.choice(homes[who.account]), times,
        asked=ASKED, told=TOLD,
    )  # fmt: skip


def mixed(town: Town, *, share: float = 0.1, per_day: float = 40) -> Iterator[Ask]:
    """Yield a hydra a third of whose requests come through addresses where honest people live."""
    count = _count(town, share)
    members = _pool(town, "mixed", count, per_day)
    own = [town.home() for _ in range(max(30, count // 4))]
    shared = town.shared or [town.shared_address()]

    def exit_of(_: Who) -> str:
        return town.chance.choice(shared if town.chance.random() < 1 / 3 else own)

    yield from fleet(town, members, exit_of, _times(town, count), asked=ASKED, told=TOLD)


def elicitation(town: Town, *, share: float = 0.15, probes: int = 300, per_day: float = 60
                ) -> Iterator[Ask]:  # fmt: skip
    """Yield probes of many prompts for the one that brings out reasoning, then that at scale."""
    count = _count(town, share)
    members = _pool(town, "elicitation", count, per_day)
    exits = [town.home() for _ in range(max(30, count // 4))]
    for at in _times(town, probes, BEGIN - 0.1, BEGIN):
        who = town.chance.choice(members)
        tried = Who(who.case, who.user, who.account, who.stack, town.hash(), "", True)
        yield ask(town, tried, town.chance.choice(exits), at, asked=200, told=town.tokens(250))
    yield from fleet(
        town, members, lambda _: town.chance.choice(exits), _times(town, count),
        asked=ASKED, told=TOLD,
    )  # fmt: skip


def logits(town: Town, *, requests: int = 6_000) -> Iterator[Ask]:
    """Yield the theft of a projection matrix: one prompt, a bias that goes through the vocabulary.

    arXiv 2403.09539 and 2403.06634: a token of output each, so the harvest is counted in requests.
    """
    (who,), client, talk = _members(town, "logits", 1), town.server(), town.talk()
    for at in _times(town, requests, BEGIN, BEGIN + 0.3):
        made = ask(town, who, client, at, asked=12, told=1, talk=talk)
        yield made._replace(logprobs=5, logit_bias=300, max_tokens=1)


def pivot(town: Town, *, share: float = 0.15, per_day: float = 60) -> Iterator[Ask]:
    """Yield a hydra that moves half of its requests to a new model within a day of its release."""
    for made in hydra(town, share=share, per_day=per_day, case="pivot"):
        new = made.start > town.when(0.5) and town.chance.random() < 0.5
        yield made._replace(model="m-new") if new else made


def replace(town: Town, *, share: float = 0.2, per_day: float = 120) -> Iterator[Ask]:
    """Yield two pools on one prompt: when the first is banned the second takes over at once."""
    count, prompt = _count(town, share) // 2, town.hash()
    exits = [town.home() for _ in range(max(30, count // 3))]
    for begin, end in ((BEGIN, 0.5), (0.5, END)):
        accounts = max(12, round(count / (per_day * town.days * (end - begin))))
        members = _members(town, "replace", accounts, template=prompt)
        yield from fleet(
            town, members, lambda _: town.chance.choice(exits), _times(town, count, begin, end),
            asked=ASKED, told=TOLD,
        )  # fmt: skip


def replayed(town: Town, *, share: float = 0.08, per_day: float = 8) -> Iterator[Ask]:
    """Yield recorded sessions of real users, sent again through a common harness.

    Nothing in the metadata tells them from programmers: what leaks here is what must be expected.
    """
    count, prompt = _count(town, share, 220.0), town.hash()
    accounts = max(12, round(count / (per_day * town.days)))
    homes = {who: town.home() for who in _members(town, "replayed", accounts, HARNESSES[1], prompt)}
    turns = max(2, count // accounts)
    for who, home in homes.items():
        begin = town.by_day()
        yield from conversation(
            town, who, home, min(begin, town.end - HOUR_S), turns=turns, first_input=6_000,
            output=220, pause_s=10,
        )  # fmt: skip


CAMPAIGNS = {
    make.__name__: make
    for make in (bulk, stolen_key, rotation, subnet_walk, hydra, dense_hydra, machines, slow,
                 paraphrased, mixed, elicitation, logits, pivot, replace, replayed)
}  # fmt: skip
