"""A daemon that is killed again and again decides what one that was left alone decides."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

FAMILIES = {
    "volume": ("total", 8),
    "shape": ("output_tokens_24h", 30_000),
    "api": ("errors_24h", 3),
}
RULE = """\
id: {family}.many
about: Fires early, for tests
family: {family}
kind: client
maturity: stable
weight: 60
half_life: 30m
when:
  - {{feature: {feature}, above: {above}}}
hits_also: Anything at all; this rule is for tests alone.
references: [https://example.org/report]
runbook: Look at it with excise explain, then lift it.
blind_spots: Everything slower.
tests:
  - name: many requests
    input:
      - {{every: 1s, count: 60, record: {{client: 203.0.113.7, output_tokens: 4000, status: 429}}}}
    fires: 203.0.113.7/32
  - name: one request
    input:
      - {{every: 1s, count: 1, record: {{client: 203.0.113.8, output_tokens: 7}}}}
"""
CLIENTS = [f"198.51.100.{n}" for n in range(1, 41)]
WAIT_S = 60.0


class Host:
    """A directory with a configuration, rules, a log; and the daemon on it."""

    def __init__(self, root, *, enforcer="dry-run", netns=None):
        self.root, self.netns = root, netns
        self.log, self.state = root / "log.ndjson", root / "state"
        self.errors = root / "stderr"
        self.log.touch()
        for family, (feature, above) in FAMILIES.items():
            rule = root / "rules" / family / "many.yaml"
            rule.parent.mkdir(parents=True)
            rule.write_text(RULE.format(family=family, feature=feature, above=above))
        (root / "excise.yaml").write_text(
            f"posture: enforce\nenforcer: {enforcer}\nprotect_operator: false\n"
            f"inputs: [{{file: {self.log}, format: record, from_start: true}}]\n"
            f"rules: [{root / 'rules'}]\nstate: {self.state}\n"
            f"api: {{socket: {root / 'control.sock'}}}\n"
        )
        self.process = None

    def start(self):
        self.starts = self.errors.read_text().count("daemon.ready") if self.errors.exists() else 0
        inside = ["ip", "netns", "exec", self.netns] if self.netns else []
        command = [sys.executable, "-m", "excise", "run", "--config", self.root / "excise.yaml"]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen([*inside, *command], stderr=errors)

    def wait_until_ready(self):
        """Wait until the newest start is through."""
        self.starts += 1
        self.wait_for(lambda: self.errors.read_text().count("daemon.ready") >= self.starts)

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(WAIT_S)
        return self.process.returncode

    def append(self, lines):
        with self.log.open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))

    def query(self, sql):
        """Ask the store beside the running daemon; nothing while there is none."""
        try:
            store = sqlite3.connect(f"file:{self.state / 'excise.db'}?mode=ro", uri=True)
        except sqlite3.OperationalError:
            return []
        try:
            return store.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            store.close()

    def read_up_to(self):
        """Return the stored offset in the log."""
        rows = self.query("SELECT cursor FROM cursors")
        return json.loads(rows[0][0])["offset"] if rows else 0

    def wait_for(self, condition):
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.002)

    def wait_until_all_is_read(self):
        size = self.log.stat().st_size
        self.wait_for(lambda: self.read_up_to() == size)

    def decisions(self):
        """Return all decisions ever made, with how they stand."""
        return self.query(
            "SELECT id, plane, target, action, tier, since, until, rules, strikes, ended, ended_by"
            " FROM decisions ORDER BY id"
        )

    def events(self):
        """Return the stream: when, what, which; renewals depend on no one and are left out."""
        return self.query("SELECT ts, op, id FROM events WHERE op != 'renew' ORDER BY ts, id, op")


def traffic(start, every_s, count):
    """Make lines of many clients in turn, a third of them well-behaved."""
    chance = random.Random(7)
    for n in range(count):
        number = chance.randrange(len(CLIENTS))
        harvests = number % 3 != 0
        yield {
            "ts": start + n * every_s,
            "client": CLIENTS[number],
            "input_tokens": 90,
            "output_tokens": 4000 if harvests else 20,
            "status": 429 if harvests and n % 2 else 200,
        }


def live_through(host, lines, kills, seed):
    """Append the lines bit by bit; kill the daemon at moments that have nothing to do with it."""
    chance = random.Random(seed)
    size = len(lines) // (kills + 1)
    pieces = [lines[at : at + size] for at in range(0, len(lines), size)]
    host.start()
    for number, piece in enumerate(pieces):
        half = chance.randrange(1, len(piece))
        host.append(piece[:half])
        if number < kills:
            before = host.read_up_to()
            host.wait_for(lambda before=before: host.read_up_to() > before)
        host.append(piece[half:])
        if number < kills:
            for _ in range(chance.randrange(8)):
                host.read_up_to()
            host.end(signal.SIGKILL)
            host.start()
    host.wait_until_all_is_read()


@pytest.fixture
def host(tmp_path):
    made = []

    def make(name, **more):
        root = tmp_path / name
        root.mkdir()
        made.append(Host(root, **more))
        return made[-1]

    yield make
    for one in made:
        if one.process and one.process.poll() is None:
            one.end(signal.SIGKILL)


@pytest.mark.timeout(300)
def test_killed_again_and_again_it_decides_what_it_decides_undisturbed(host):
    start = 1_750_000_000.0
    # Half a minute between lines: the seconds that a restart takes change nothing in event time.
    lines = list(traffic(start, every_s=30.0, count=600))
    calm = host("calm")
    calm.append(lines)
    calm.start()
    calm.wait_until_all_is_read()
    assert calm.end(signal.SIGTERM) == 0

    assert len(calm.decisions()) > 20

    for seed in (1, 2):
        troubled = host(f"troubled-{seed}")
        live_through(troubled, lines, kills=4, seed=seed)
        assert troubled.end(signal.SIGTERM) == 0

        assert calm.decisions() == troubled.decisions()
        assert calm.events() == troubled.events()


def kernel_holds(netns):
    """Return the addresses and networks that the kernel drops."""
    listing = subprocess.run(
        ["ip", "netns", "exec", netns, "nft", "-j", "list", "table", "ip", "excise"],
        check=True,
        capture_output=True,
    )
    held = set()
    for item in json.loads(listing.stdout)["nftables"]:
        if item.get("set", {}).get("name") in {"block", "block_net"}:
            held |= {as_cidr(element) for element in item["set"].get("elem", [])}
    return held


def as_cidr(element):
    value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
    if isinstance(value, dict):
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return f"{value}/32"


@pytest.fixture
def netns():
    if os.geteuid() != 0 or shutil.which("nft") is None:
        pytest.skip("takes root and nft(8): it makes a network namespace")
    name = f"excise-crash-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.netns
@pytest.mark.timeout(300)
def test_after_a_crash_the_kernel_holds_what_the_store_says(host, netns):
    stricken = host("stricken", enforcer="nftables", netns=netns)
    lines = list(traffic(time.time() - 1800.0, every_s=2.0, count=800))

    live_through(stricken, lines, kills=3, seed=3)

    def drops():
        return {
            target
            for (target,) in stricken.query(
                "SELECT target FROM decisions WHERE ended IS NULL AND action = 'drop'"
                f" AND until > {time.time()}"
            )
        }

    stricken.wait_for(lambda: bool(drops()))
    stricken.wait_for(lambda: kernel_holds(netns) == drops())
    assert stricken.end(signal.SIGKILL) == -signal.SIGKILL
    assert kernel_holds(netns) == drops()

    stricken.start()
    stricken.wait_until_ready()
    stricken.wait_for(lambda: kernel_holds(netns) == drops())
    assert stricken.end(signal.SIGTERM) == 0
    assert kernel_holds(netns) == drops()

    command = [sys.executable, "-m", "excise", "run", "--lift-all", "--config"]
    subprocess.run(
        ["ip", "netns", "exec", netns, *command, stricken.root / "excise.yaml"], check=True
    )
    tables = subprocess.run(
        ["ip", "netns", "exec", netns, "nft", "list", "tables"], check=True, capture_output=True
    )
    assert tables.stdout == b""
    assert drops() == set()
