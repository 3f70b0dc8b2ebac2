"""Ordinary traffic: who uses a model server on a day on which nothing happens. Pure.

Shares of the requests and the shapes of rates and lengths follow what was published about served
models: ServeGen (arXiv 2505.09999: few clients cause most load, in bursts; log-normal lengths),
BurstGPT (arXiv 2401.17644: Gamma bursts), WildChat (arXiv 2405.01470: turns and lengths of chats).
How many people share an address is an assumption.
"""

from __future__ import annotations

from collections.abc import Iterator

from excise.simulate.traffic import (
    BROWSERS,
    HARNESSES,
    HOUR_S,
    PROBE,
    SDKS,
    START,
    Ask,
    Town,
    Who,
    ask,
    conversation,
)

#: share of all requests by kind
SHARES = {"api": 0.45, "agent": 0.3, "chat": 0.2, "probe": 0.04, "scan": 0.01}


def everybody(town: Town, requests: int) -> Iterator[Ask]:
    """Yield about so many requests of ordinary users, in no order."""
    makers = {"api": api, "agent": agents, "chat": chat, "probe": probes, "scan": scanners}
    for name, make in makers.items():
        yield from make(town, int(requests * SHARES[name]))


def api(town: Town, requests: int) -> Iterator[Ask]:
    """Yield tenants: one per about 1,500 requests a day, rates Pareto (alpha 1.2), in bursts.

    Each has a prompt of its own, an SDK, 1 to 12 keys, 1 to 4 addresses, and lengths of its own
    (medians 250 to 3,000 in, 40 to 400 out). A burst keeps one address and one key, as the
    connection pool of one worker does.
    """
    tenants = max(6, int(requests / town.days / 1_500))
    for n, weight in enumerate(town.heavy_tail(tenants)):
        clients = [town.server() for _ in range(town.chance.randint(1, 4))]
        keys = [town.key() for _ in range(town.chance.randint(1, 12))]
        asked, told = town.chance.uniform(250, 3_000), town.chance.uniform(40, 400)
        stack, template = town.chance.choice(SDKS), town.hash()
        left = int(weight * requests)
        while left > 0:
            burst = min(left, 1 + int(town.chance.gammavariate(0.6, 30.0)))
            left -= burst
            at, client = town.by_day(depth=0.3), town.chance.choice(clients)
            who = Who("api", f"tenant-{n}", town.chance.choice(keys), stack, template, f"org-{n}")
            for _ in range(burst):
                sizes = town.tokens(asked, 0.7), town.tokens(told, 0.8)
                yield ask(town, who, client, at, asked=sizes[0], told=sizes[1])
                at += town.chance.expovariate(1.0)


def agents(town: Town, requests: int) -> Iterator[Ask]:
    """Yield programmers whose agent works in sessions of 8 to 60 turns on a growing context.

    Two harnesses with one built-in prompt each serve them all; two sessions a day and person.
    """
    prompts = [town.hash() for _ in HARNESSES]
    left, n = requests, 0
    while left > 0:
        n += 1
        harness = town.chance.randrange(len(HARNESSES))
        who = Who("agent", f"coder-{n}", town.key(), HARNESSES[harness], prompts[harness])
        home = town.home()
        for _ in range(max(1, round(2 * town.days))):
            turns = town.chance.randint(8, 60)
            left -= turns
            begin = town.by_day()
            yield from conversation(
                town, who, home, begin, turns=turns, first_input=8_000, output=180, pause_s=8
            )


def chat(town: Town, requests: int) -> Iterator[Ask]:
    """Yield people: 1.5 chats a day of 1 to 8 turns, all under the web page's one prompt.

    Half live behind an address of their own, 0.3 in offices of 30, 0.2 behind carrier NAT of 150;
    one in twenty is on the move and has another address for every chat.
    """
    prompt, left, n = town.hash(), requests, 0
    office = carrier = ""
    while left > 0:
        n += 1
        office = town.shared_address() if n % 100 == 1 else office
        carrier = town.shared_address() if n % 750 == 1 else carrier
        lives = town.chance.random()
        home = office if lives < 0.3 else carrier if lives < 0.5 else town.home()
        mobile = town.chance.random() < 0.05
        who = Who("chat", f"person-{n}", town.key(), town.chance.choice(BROWSERS), prompt)
        chats = 1 + int(town.chance.expovariate(1.0 / (1.5 * town.days)))
        for _ in range(chats):
            turns = min(8, 1 + int(town.chance.expovariate(0.4)))
            left -= turns
            client = town.home() if mobile else home
            begin = town.by_day(20.0)
            yield from conversation(
                town, who, client, begin, turns=turns, first_input=250, output=330, pause_s=40
            )


def probes(town: Town, requests: int) -> Iterator[Ask]:
    """Yield health checks in plaintext at an even pace, day and night, without an account."""
    who = Who("probe", "probe", "", PROBE, "")
    client = town.server()
    for n in range(requests):
        at = START + (n + 0.5) * town.days * 24 * HOUR_S / requests
        made = ask(town, who, client, at, asked=0, told=0)
        yield made._replace(path="/health", tls="none", output_tokens=0, input_tokens=0)


def scanners(town: Town, requests: int) -> Iterator[Ask]:
    """Yield what every public address hears: a few requests each for paths that are not there."""
    while requests > 0:
        few = min(requests, town.chance.randint(1, 12))
        requests -= few
        client, at = town.server(), town.chance.uniform(START, town.end)
        who = Who("scan", client, "", PROBE, "")
        for n in range(few):
            made = ask(town, who, client, at + n, asked=0, told=0)
            path = f"/{town.hash()[:6]}"
            yield made._replace(path=path, status=404, input_tokens=0, output_tokens=0)
