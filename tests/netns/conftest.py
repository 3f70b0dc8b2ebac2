"""Network namespaces of this run alone, and processes in them; all gone afterwards."""

import os
import select
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass

import pytest

IP = shutil.which("ip") or "/usr/sbin/ip"
NFT = shutil.which("nft") or "/usr/sbin/nft"
IPSET = shutil.which("ipset") or "/usr/sbin/ipset"
XTABLES = {"iptables", "iptables-restore", "iptables-save"}


@dataclass(frozen=True)
class Namespace:
    """A named network namespace."""

    name: str

    def command(self, *argv):
        return [IP, "netns", "exec", self.name, *argv]

    def run(self, *argv, stdin=None, check=True):
        done = subprocess.run(
            self.command(*argv),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def nft(self, *argv, stdin=None):
        return self.run(NFT, *argv, stdin=stdin).stdout

    def ipset(self, *argv, stdin=None):
        return self.run(IPSET, *argv, stdin=stdin).stdout

    def shell(self, script, tools):
        """Run shell lines with a directory of programs before all others."""
        path = f"PATH={tools}:/usr/sbin:/usr/bin:/sbin:/bin"
        return self.run("env", path, "sh", "-e", stdin=script).stdout

    def ip(self, *argv):
        return self.run(IP, *argv).stdout


def _can_make_namespaces():
    if os.geteuid() != 0:
        return "named network namespaces need root"
    if not (os.path.exists(IP) and os.path.exists(NFT)):
        return "needs ip (iproute2) and nft (nftables)"
    name = f"excise-probe-{uuid.uuid4().hex[:8]}"
    made = subprocess.run([IP, "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run([IP, "netns", "del", name], capture_output=True, check=False)
    return made.stderr.strip()


@pytest.fixture(scope="session")
def _namespaces_work():
    problem = _can_make_namespaces()
    if problem:
        pytest.skip(f"no network namespace can be made here: {problem}")


@pytest.fixture
def namespaces(_namespaces_work):
    """Make fresh namespaces, with the loopback up."""
    made = []

    def make():
        name = f"excise-t-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        subprocess.run([IP, "netns", "add", name], check=True)
        made.append(name)
        namespace = Namespace(name)
        namespace.ip("link", "set", "lo", "up")
        return namespace

    yield make
    for name in made:
        subprocess.run([IP, "netns", "del", name], check=False)


@pytest.fixture(scope="session")
def iptables(tmp_path_factory):
    """Return {flavour: directory in which iptables and its kin are of that flavour}."""
    found = {}
    for flavour in ("legacy", "nft"):
        where = tmp_path_factory.mktemp(f"iptables-{flavour}")
        for name in XTABLES | {f"ip6{n[2:]}" for n in XTABLES}:
            tool, dash, rest = name.partition("-")
            real = shutil.which(f"{tool}-{flavour}{dash}{rest}", path="/usr/sbin:/sbin")
            if not real or not os.path.exists(IPSET):
                pytest.skip("needs ipset and iptables of both flavours")
            (where / name).symlink_to(real)
        found[flavour] = where
    return found


@pytest.fixture
def namespace(namespaces):
    """Make one namespace."""
    return namespaces()


class Program:
    """A running program whose lines are read as they come."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        self._pending = b""

    def until(self, enough, wait_s):
        """Return the lines, as words, up to the first that is `enough`; fails after `wait_s`."""
        deadline, seen = time.monotonic() + wait_s, []
        while True:
            line, newline, rest = self._pending.partition(b"\n")
            if newline:
                self._pending = rest
                seen.append(line.decode().split())
                if enough(seen[-1]):
                    return seen
                continue
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._process.stdout], [], [], left)
            more = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            assert more, f"not within {wait_s} s; last lines: {seen[-3:]}"
            self._pending += more

    def end(self):
        self._process.kill()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@pytest.fixture
def start():
    """Start programs that are ended, by their own id, when the test ends."""
    running = []

    def begin(command):
        running.append(Program(command))
        return running[-1]

    yield begin
    for program in running:
        program.end()
