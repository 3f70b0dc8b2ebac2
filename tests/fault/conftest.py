"""A whole host for a test: configuration, rules and a log in a directory, and the real command."""

import json
import signal
import subprocess
import sys
import time

import pytest

from excise.cli.client import Client

WAIT_S = 100.0
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
      - {{every: 1s, count: 60, record: {{client: 203.0.113.7, output_tokens: 4000}}}}
    fires: 203.0.113.7/32
  - name: one request
    input:
      - {{every: 1s, count: 1, record: {{client: 203.0.113.8, output_tokens: 7}}}}
"""
FAMILIES = {"volume": ("total", 8), "shape": ("output_tokens_24h", 30_000)}


class Excise:
    """The command `excise` on files under `root`; `inside` is a command that runs commands."""

    def __init__(self, root, inside=(), **keys):
        self.root, self.inside = root, list(inside)
        self.log, self.state, self.errors = root / "log", root / "state", root / "stderr"
        self.file, self.socket = root / "excise.yaml", root / "control.sock"
        self.process = None
        for family in FAMILIES:
            self.rule(family).parent.mkdir(parents=True, exist_ok=True)
            self.write_rule(family)
        self.configure(**keys)

    def rule(self, family):
        return self.root / "rules" / family / "many.yaml"

    def write_rule(self, family, *change):
        feature, above = FAMILIES[family]
        text = RULE.format(family=family, feature=feature, above=above)
        self.rule(family).write_text(text.replace(*change) if change else text)

    def configure(self, **keys):
        defaults = {
            "posture": "enforce",
            "enforcer": "dry-run",
            "protect_operator": False,
            "inputs": [{"file": str(self.log), "format": "record", "from_start": True}],
            "rules": [str(self.root / "rules")],
            "state": str(self.state),
            "api": {"socket": str(self.socket)},
        }
        self.file.write_text(json.dumps(defaults | keys))

    def append(self, *lines):
        """Write lines, bytes as they are and records as JSON."""
        with self.log.open("ab") as log:
            for line in lines:
                raw = line if isinstance(line, bytes) else json.dumps(line).encode()
                log.write(raw + b"\n")

    def command(self, verb, *more):
        where = ["--config", self.file] if verb in {"run", "check", "replay"} else []
        where = where or ["--socket", self.socket]
        return [*self.inside, sys.executable, "-m", "excise", verb, *map(str, [*where, *more])]

    def __call__(self, *words):
        """Run a verb to its end; it must not fall over, whatever it says."""
        done = subprocess.run(
            self.command(*words), capture_output=True, timeout=WAIT_S, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    def ask(self, verb, *more):
        """Return what a verb answers with --json."""
        done = self(verb, "--json", *more)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def fail_to_start(self):
        """Start a daemon that cannot; return its exit status and the one line it says."""
        done = self("run")
        said = [s for s in done.stderr.decode().splitlines() if s.startswith("excise: ")]
        assert len(said) == 1, done.stderr.decode()
        return done.returncode, said[0]

    def start(self):
        ready = self.count("daemon.ready")
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(self.command("run"), stderr=errors)
        self.wait_for(lambda: self.count("daemon.ready") > ready)

    def logged(self, event=None):
        """Return what the daemon logged: of one event, or all."""
        text = self.errors.read_text() if self.errors.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [line for line in lines if event in {None, line["event"]}]

    def count(self, event):
        return len(self.logged(event))

    def alarms(self):
        return [line["code"] for line in self.logged("alarm.raised")]

    def input(self):
        """Return how the log stands as an input."""
        return self.status()["inputs"][0]

    def status(self):
        """Return what `excise status --json` shows, at the price of a look."""
        return json.loads(Client(self.socket).get("/v1/status"))

    def wait_for(self, condition):
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.errors.read_text()[-2000:]
            time.sleep(0.01)

    def wait_for_lines(self, lines):
        """Wait until so many lines were read; return how the log stands then."""
        seen = {}

        def enough():
            seen.update(self.input())
            return seen["lines"] >= lines

        self.wait_for(enough)
        return seen

    def end(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(WAIT_S)
        return self.process and self.process.returncode


@pytest.fixture
def excise(tmp_path):
    """Make hosts; keywords are keys of the configuration."""
    made = []

    def make(inside=(), name="host", **keys):
        root = tmp_path / name
        root.mkdir()
        made.append(Excise(root, inside, **keys))
        return made[-1]

    yield make
    for one in made:
        one.end(signal.SIGKILL)


@pytest.fixture
def requests():
    """Make records, a second apart, that two rules of two families fire for from the ninth on."""

    def make(count, client="203.0.113.7", start=1_750_000_000.0, **fields):
        fields = {"client": client, "output_tokens": 4000} | fields
        return [{"ts": start + n} | fields for n in range(count)]

    return make
