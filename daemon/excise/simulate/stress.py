"""Honest traffic that looks as if it were not: what detection must leave alone. Pure.

Each maker is one case with its parameters; where no source is named, sizes are assumptions.
"""

from __future__ import annotations

from collections.abc import Iterator

from excise.simulate.traffic import (
    BROWSERS,
    HARNESSES,
    HOUR_S,
    PROBE,
    SCRIPT,
    SDKS,
    Ask,
    Town,
    Who,
    ask,
    conversation,
    evenly,
    fleet,
)


def _chats(
    town: Town, who: Who, client: str, *, begin: float, chats: int, within_s: float
) -> Iterator[Ask]:
    for _ in range(chats):
        at = begin + town.chance.uniform(0.0, within_s)
        turns = town.chance.randint(1, 6)
        yield from conversation(
            town, who, client, at, turns=turns, first_input=250, output=330, pause_s=40
        )


def _people(town: Town, case: str, count: int, prompt: str) -> list[Who]:
    return [
        Who(case, f"{case}-{n}", town.key(), town.chance.choice(BROWSERS), prompt)
        for n in range(count)
    ]


def cgnat(town: Town, *, people: int = 400, addresses: int = 2) -> Iterator[Ask]:
    """Yield hundreds of people behind a carrier's few addresses (RFC 6888 allows thousands)."""
    exits, prompt = [town.shared_address() for _ in range(addresses)], town.hash()
    for who in _people(town, "cgnat", people, prompt):
        client = town.chance.choice(exits)
        begin, day = town.when(0.0), town.days * 20 * HOUR_S
        yield from _chats(town, who, client, begin=begin, chats=2, within_s=day)


def office(town: Town, *, people: int = 80) -> Iterator[Ask]:
    """Yield a company behind one address: people who chat, and a third who code with an agent."""
    client, prompt, harness = town.shared_address(), town.hash(), town.hash()
    for n, who in enumerate(_people(town, "office", people, prompt)):
        if n % 3:
            span = 8 * HOUR_S
            yield from _chats(town, who, client, begin=town.when(0.35), chats=3, within_s=span)
            continue
        coder = Who("office", who.user, who.account, HARNESSES[0], harness)
        begin = town.when(0.35) + town.chance.uniform(0, 8 * HOUR_S)
        yield from conversation(
            town, coder, client, begin, turns=30, first_input=8_000, output=180, pause_s=10
        )


def batch(town: Town, *, requests: int = 3_000, hours: float = 3.0) -> Iterator[Ask]:
    """Yield a nightly job: one key, one address, one prompt, as fast as it goes, short answers."""
    who = Who("batch", "batch", town.key(), SDKS[1], town.hash(), "org-batch")
    client, begin = town.server(), town.when(0.08)
    for at in evenly(town, requests, begin, begin + hours * HOUR_S):
        yield ask(town, who, client, at, asked=town.tokens(1_800, 0.5), told=town.tokens(90, 0.6))


def agents(town: Town, *, runs: int = 60) -> Iterator[Ask]:
    """Yield a company's agents that work through the night: long loops of tools, no pauses."""
    client, prompt = town.server(), town.hash()
    for n in range(runs):
        who = Who("agents", "agents", town.key(), HARNESSES[1], prompt, "org-agents")
        begin = town.when(0.1) + n * 0.012 * town.days * 24 * HOUR_S
        yield from conversation(
            town, who, client, begin, turns=50, first_input=12_000, output=220, pause_s=2
        )


def rag(town: Town, *, keys: int = 200, addresses: int = 8, requests: int = 4_000) -> Iterator[Ask]:
    """Yield a retrieval service: one prompt, a key for each customer, one organisation.

    Every question is new and every one begins a conversation, as in a sweep.
    """
    prompt, exits = town.hash(), [town.server() for _ in range(addresses)]
    members = [Who("rag", "rag", town.key(), SDKS[0], prompt, "org-rag") for _ in range(keys)]
    times = evenly(town, requests, town.when(0.2), town.when(0.9))
    yield from fleet(
        town, members, lambda _: town.chance.choice(exits), times, asked=3_500, told=260
    )


def harness(town: Town, *, people: int = 500) -> Iterator[Ask]:
    """Yield a popular tool: hundreds of unrelated accounts under its built-in prompt."""
    prompt = town.hash()
    for n in range(people):
        who = Who("harness", f"harness-{n}", town.key(), HARNESSES[0], prompt)
        home = town.home()
        turns = town.chance.randint(3, 25)
        yield from conversation(
            town, who, home, town.by_day(), turns=turns, first_input=6_000, output=200, pause_s=15
        )


def load_test(town: Town, *, requests: int = 2_000, minutes: float = 20.0) -> Iterator[Ask]:
    """Yield a customer's announced test: one question again and again at full speed."""
    who = Who("load_test", "load_test", town.key(), SDKS[1], town.hash(), "org-load")
    client, begin, talk = town.server(), town.when(0.4), town.talk()
    for at in evenly(town, requests, begin, begin + minutes * 60):
        yield ask(town, who, client, at, asked=120, told=town.tokens(128, 0.1), talk=talk)


def probes(town: Town, *, every_s: float = 30.0, sites: int = 6) -> Iterator[Ask]:
    """Yield synthetic monitoring: one token from each of some sites, to the second."""
    who = Who("probes", "probes", town.key(), PROBE, town.hash(), "org-monitor")
    clients, talk = [town.server() for _ in range(sites)], town.talk()
    for n in range(int(town.days * 24 * HOUR_S / every_s)):
        at = town.when(0.0) + n * every_s
        made = ask(town, who, clients[n % sites], at, asked=9, told=1, talk=talk)
        yield made._replace(max_tokens=1)


def launch(town: Town, *, people: int = 600, minutes: float = 90.0) -> Iterator[Ask]:
    """Yield a launch day: new accounts in an hour, all to the new model, one or two tries each."""
    prompt = town.hash()
    for who in _people(town, "launch", people, prompt):
        client = town.home()
        begin = town.when(0.5) + minutes * 60 * town.chance.betavariate(1.2, 3.0)
        for made in _chats(
            town, who, client, begin=begin, chats=town.chance.randint(1, 2), within_s=1_200
        ):
            yield made._replace(model="m-new")


def router(town: Town, *, people: int = 300, requests: int = 3_000) -> Iterator[Ask]:
    """Yield a legitimate router: thousands of users and their prompts through one key."""
    key, exits = town.key(), [town.server() for _ in range(3)]
    prompts = [town.hash() for _ in range(people)]
    for at in evenly(town, requests, town.when(0.0), town.when(0.95)):
        who = Who("router", "router", key, SDKS[2], town.chance.choice(prompts), "org-router")
        yield from conversation(
            town,
            who,
            town.chance.choice(exits),
            at,
            turns=town.chance.choice((1, 1, 2, 4)),
            first_input=700,
            output=300,
            pause_s=30,
        )


def churn(town: Town, *, people: int = 150) -> Iterator[Ask]:
    """Yield people whose address changes within a conversation: phones, private relays, VPNs."""
    for who in _people(town, "churn", people, town.hash()):
        for made in _chats(
            town, who, "", begin=town.when(0.1), chats=3, within_s=0.8 * town.days * 24 * HOUR_S
        ):
            yield made._replace(client=town.home())


def retries(town: Town, *, people: int = 200, tries: int = 15) -> Iterator[Ask]:
    """Yield an outage: everybody's program gets 503 for minutes and tries again in step."""
    prompt, begin = town.hash(), town.when(0.55)
    for n in range(people):
        who = Who("retries", f"retries-{n}", town.key(), SDKS[n % 3], prompt)
        client, talk = town.home(), town.talk()
        for k in range(tries):
            made = ask(town, who, client, begin + 20 * k + 2 * town.chance.random(), asked=900,
                       told=1, talk=talk)  # fmt: skip
            yield made._replace(status=503, output_tokens=0)
        yield ask(town, who, client, begin + 20 * tries + n * 0.1, asked=900,
                  told=town.tokens(300), talk=talk)  # fmt: skip


def evals(town: Town, *, questions: int = 4_000) -> Iterator[Ask]:
    """Yield lm-evaluation-harness: multiple choice with log-probabilities, no bias, one token."""
    who = Who("evals", "evals", town.key(), SCRIPT, town.hash(), "org-evals")
    client, begin = town.server(), town.when(0.3)
    for at in evenly(town, questions, begin, begin + 2 * HOUR_S):
        made = ask(town, who, client, at, asked=town.tokens(600, 0.6), told=1)
        yield made._replace(logprobs=5, max_tokens=1)


def classroom(town: Town, *, people: int = 60, hours: float = 2.0) -> Iterator[Ask]:
    """Yield a course: accounts made today, one exercise's prompt, at school and then at home."""
    prompt, school = town.hash(), town.shared_address()
    for n in range(people):
        who = Who("classroom", f"pupil-{n}", town.key(), SCRIPT, prompt)
        begin, home = town.when(0.4), town.home()
        span = hours * HOUR_S
        yield from _chats(town, who, school, begin=begin, chats=4, within_s=span)
        if n % 3 == 0:
            later = begin + 4 * HOUR_S
            yield from _chats(town, who, home, begin=later, chats=2, within_s=span)


def hackathon(
    town: Town, *, people: int = 60, hours: float = 12.0, each: int = 50
) -> Iterator[Ask]:
    """Yield a weekend: new accounts, one starter's prompt, one venue, heavy use all day long."""
    venue, prompt = town.shared_address(), town.hash()
    for n in range(people):
        who = Who("hackathon", f"hacker-{n}", town.key(), SDKS[0], prompt)
        begin, talks = town.when(0.3), round(each / 1.5 * town.chance.lognormvariate(0.0, 0.6))
        for _ in range(talks):
            at = begin + town.chance.uniform(0.0, hours * HOUR_S)
            turns = town.chance.choice((1, 1, 2))
            yield from conversation(
                town, who, venue, at, turns=turns, first_input=500, output=420, pause_s=20
            )


def annotators(town: Town, *, people: int = 60, each: int = 60) -> Iterator[Ask]:
    """Yield a company that labels data: an account each, one task, one question at a time."""
    office, prompt = town.shared_address(), town.hash()
    for n in range(people):
        who = Who("annotators", f"annotator-{n}", town.key(), BROWSERS[0], prompt)
        for at in evenly(town, each, town.when(0.35), town.when(0.35) + 9 * HOUR_S):
            yield ask(town, who, office, at, asked=town.tokens(600, 0.5), told=town.tokens(350))


def writers(
    town: Town, *, people: int = 400, each: float = 5.0, away: float = 0.25
) -> Iterator[Ask]:
    """Yield an application for single questions with long answers: texts, stories, drafts.

    Its users come back hours later, from home or from a phone that has another address each time.
    They ask as unevenly as people do (log-normal, sigma 0.9).
    """
    prompt = town.hash()
    for who in _people(town, "writers", people, prompt):
        home = town.home()
        for _ in range(round(each * town.chance.lognormvariate(-0.4, 0.9))):
            client = town.home() if town.chance.random() < away else home
            told = town.tokens(750, 0.5)
            yield ask(town, who, client, town.by_day(), asked=town.tokens(250, 0.6), told=told)


def integrations(
    town: Town, *, customers: int = 120, each: float = 12.0, exits: int = 24
) -> Iterator[Ask]:
    """Yield a service that runs its customers' tasks with their own keys, from its own machines.

    One default prompt, single questions, and any of its addresses each time. But each customer has
    a task of its own, with lengths of its own, as often as it likes.
    """
    prompt, machines = town.hash(), [town.server() for _ in range(exits)]
    for who in _people(town, "integrations", customers, prompt):
        usual = town.tokens(250, 1.2), town.tokens(700, 1.0)
        for _ in range(round(each * town.chance.lognormvariate(-0.5, 1.0))):
            asked, told = town.tokens(usual[0], 0.6), town.tokens(usual[1], 0.5)
            client = town.chance.choice(machines)
            yield ask(town, who, client, town.by_day(), asked=asked, told=told)


STRESS = {
    make.__name__: make
    for make in (cgnat, office, batch, agents, rag, harness, load_test, probes, launch, router,
                 churn, retries, evals, classroom, hackathon, annotators, writers, integrations)
}  # fmt: skip
