"""A replay of a log decides what the daemon decided while the log was being written."""

import json
import random
import time
from pathlib import Path

import msgspec
import pytest

from excise.api.wire import to_event
from excise.store.store import Store

HARVESTER = "203.0.113.250"
RULES = Path(__file__).parents[2] / "rules"
START = 1_750_000_000.0
LINES = 4_000


def chat(chance):
    """Return a person's request."""
    number = chance.randrange(120)
    return {
        "client": f"2001:db8:{number:x}::1" if number % 2 else f"198.51.100.{number + 1}",
        "account": f"k_{number}",
        "input_tokens": int(chance.lognormvariate(6.5, 0.8)),
        "output_tokens": int(chance.lognormvariate(5.5, 0.9)),
        "user_agent": f"browser/{number % 7}",
        "prompt": ["5f0c3a1d9be24476", f"{chance.getrandbits(64):016x}"],
    }


def harvest(chance):
    """Return a request of the shape that harvesting has: a short question, a long answer."""
    return {
        "client": HARVESTER,
        "account": f"k_harvest_{chance.randrange(3)}",
        "input_tokens": 60,
        "output_tokens": chance.randint(3_500, 4_500),
        "user_agent": "python-httpx/0.28.1",
    }


@pytest.fixture(scope="module")
def lines():
    """Make an hour of traffic, a line a second, so that no tick of a live daemon gets ahead."""
    chance = random.Random(11)
    made = []
    for n in range(LINES):
        request = harvest(chance) if n > LINES // 4 and n % 5 == 0 else chat(chance)
        record = {"ts": START + n, "status": 200, "tls": "TLSv1.3", "bytes_out": 9_000} | request
        made.append(json.dumps(record).encode() + b"\n")
    return made


def live(host, lines):
    """Let a daemon follow a log while it grows line by line; return the stream of decisions."""
    host.log.touch()
    host.start()
    with host.log.open("ab") as log:
        for line in lines:
            log.write(line)
            log.flush()
    host.wait_for_lines(len(lines))
    assert host.end() == 0
    store, damage = Store.open(host.state / "excise.db", time.time())
    try:
        kept = store.events_after(0, 1_000_000)
    finally:
        store.close()
    assert damage == ""
    return [json.loads(msgspec.json.encode(to_event(event)[1])) for _, event in kept]


def replay(host, name):
    """Replay the log; return the decision stream as it was written."""
    out = host.root / name
    done = host("replay", host.log, "--decisions", out)
    assert done.returncode == 0, done.stderr.decode()
    return out.read_bytes()


def test_a_replay_decides_what_the_daemon_decided_and_every_replay_the_same(excise, lines):
    host = excise(rules=[str(RULES)])
    lived = live(host, lines)
    first, second = replay(host, "first.ndjson"), replay(host, "second.ndjson")
    replayed = [json.loads(line) for line in first.splitlines()]

    assert first == second
    assert {"add", "escalate"} <= {event["op"] for event in replayed}
    assert f"{HARVESTER}/32" in {e["target"] for e in replayed if e["action"] == "drop"}
    # After the last line only the live daemon has time pass, in which decisions may lapse.
    end = START + LINES - 1
    assert replayed == [event for event in lived if event["ts"] <= end]
