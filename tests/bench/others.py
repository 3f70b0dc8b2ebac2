"""The same addresses through other programs; seconds until the kernel holds all of them.

fail2ban and crowdsec run with a configuration of their own, in the bench's namespace, as their
packages ship them otherwise. What is timed does not include their start.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.places import entering

from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import Message, Msg, parse

TIMEOUT_S = 3600
STARTED_WITHIN_S = 60.0
HELD_WITHIN_S = 300.0
COUNT = 20  # NFTA_SET_COUNT


def run(where: str, *argv: str, stdin: str | None = None) -> str:
    """Run a program in a namespace to its end."""
    done = subprocess.run(
        entering(where, *argv), input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)[:80]}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def timed_run(where: str, *argv: str) -> float:
    begun = time.perf_counter()
    run(where, *argv)
    return time.perf_counter() - begun


def nft_file(where: str, targets: Sequence[str], directory: Path) -> float:
    """Load a text of all of them with `nft -f`, in one transaction."""
    flags = "interval, timeout" if "/" in targets[0] else "timeout"
    elements = ", ".join(f"{t} timeout {TIMEOUT_S}s" for t in targets)
    file = directory / "elements.nft"
    file.write_text(
        f"add table ip beside\nadd set ip beside targets {{ type ipv4_addr; flags {flags}; }}\n"
        f"add element ip beside targets {{ {elements} }}\n"
    )
    return timed_run(where, "nft", "-f", str(file))


def ipset_restore(where: str, targets: Sequence[str], directory: Path) -> float:
    """Load a text of all of them with `ipset restore`."""
    kind = "hash:net" if "/" in targets[0] else "hash:ip"
    lines = [f"create beside {kind} timeout {TIMEOUT_S} maxelem {1 << 20}"]
    lines += [f"add beside {t}" for t in targets]
    file = directory / "elements.ipset"
    file.write_text("\n".join(lines) + "\n")
    return timed_run(where, "ipset", "restore", "-file", str(file))


def held(nft: NftSocket) -> int:
    """Return how many elements the largest set of the namespace has."""
    replies = nft.ask(Message(Msg.GETSET, 0, b""))
    counts = [int.from_bytes(parse(r.payload).get(COUNT, b""), "big") for r in replies]
    return max(counts, default=0)


def until(what: str, seen: Callable[[], bool], within_s: float, pause_s: float = 0.005) -> None:
    """Wait until something is seen. Raises RuntimeError when the time is over."""
    deadline = time.monotonic() + within_s
    while not seen():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {within_s:.0f} s")
        time.sleep(pause_s)


def until_held(where: str, count: int) -> None:
    nft = NftSocket(where)
    try:
        until(f"{count} elements", lambda: held(nft) >= count, HELD_WITHIN_S)
    finally:
        nft.close()


JAIL = """\
[DEFAULT]
[bench]
enabled = true
backend = polling
filter =
logpath = {directory}/empty.log
banaction = nftables
action = %(banaction)s[type=multiport, port="443"]
maxretry = 1
bantime = {timeout_s}
"""
FAIL2BAN = """\
[Definition]
loglevel = ERROR
logtarget = {directory}/fail2ban.log
socket = {directory}/fail2ban.sock
pidfile = {directory}/fail2ban.pid
dbfile = None
"""


def fail2ban(where: str, targets: Sequence[str], directory: Path) -> float:
    """Ban them in one call of `fail2ban-client set JAIL banip`, with its nftables action."""
    conf = directory / "fail2ban"
    shutil.copytree("/etc/fail2ban", conf, ignore=shutil.ignore_patterns("jail.d", "fail2ban.d"))
    (directory / "empty.log").touch()
    (conf / "jail.local").write_text(JAIL.format(directory=directory, timeout_s=TIMEOUT_S))
    (conf / "fail2ban.local").write_text(FAIL2BAN.format(directory=directory))
    paths = ["-c", str(conf), "-s", f"{directory}/fail2ban.sock", "-p", f"{directory}/fail2ban.pid"]
    server = subprocess.Popen(
        entering(where, "fail2ban-server", *paths, "-f", "start"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = entering(where, "fail2ban-client", *paths)

    def answers() -> bool:
        asked = subprocess.run([*client, "status", "bench"], capture_output=True, check=False)
        return asked.returncode == 0

    try:
        until("fail2ban", answers, STARTED_WITHIN_S)
        begun = time.perf_counter()
        run(where, *client[4:], "set", "bench", "banip", *targets)
        until_held(where, len(targets))
        return time.perf_counter() - begun
    finally:
        subprocess.run([*client, "stop"], capture_output=True, check=False)
        server.terminate()
        server.wait(timeout=30)


CROWDSEC = """\
common: {{daemonize: false, log_media: file, log_level: error, log_dir: {d}, working_dir: {d}}}
config_paths:
  config_dir: {d}/etc/
  data_dir: {d}/data/
  simulation_path: {d}/etc/simulation.yaml
  hub_dir: {d}/hub/
  index_path: {d}/hub/.index.json
  notification_dir: {d}/etc/notifications/
  plugin_dir: {d}/plugins/
cscli: {{output: human}}
db_config: {{type: sqlite, db_path: {d}/data/crowdsec.db, log_level: error}}
api:
  client: {{credentials_path: {d}/etc/credentials.yaml}}
  server:
    log_level: error
    listen_uri: 127.0.0.1:8080
    profiles_path: {d}/etc/profiles.yaml
prometheus: {{enabled: false}}
"""
BOUNCER = """\
mode: nftables
pid_dir: {d}
update_frequency: 1s
daemonize: false
log_mode: file
log_dir: {d}/
log_level: error
api_url: http://127.0.0.1:8080/
api_key: {key}
disable_ipv6: true
deny_action: DROP
supported_decisions_types: [ban]
blacklists_ipv4: crowdsec-blacklists
nftables:
  ipv4: {{enabled: true, set-only: false, table: crowdsec, chain: crowdsec-chain}}
  ipv6: {{enabled: false}}
prometheus: {{enabled: false}}
"""
PROFILE = (
    "name: bench\nfilters: [false]\ndecisions: [{type: ban, duration: 1h}]\non_success: break\n"
)
KEY = "0123456789abcdef0123456789abcdef"


def crowdsec(where: str, targets: Sequence[str], directory: Path) -> float:
    """Import them as decisions; time the nftables bouncer from its start with all of them."""
    d = directory / "crowdsec"
    for name in ("etc/notifications", "data", "hub", "plugins"):
        (d / name).mkdir(parents=True)
    (d / "etc/profiles.yaml").write_text(PROFILE)
    (d / "etc/simulation.yaml").write_text("simulation: false\n")
    (d / "hub/.index.json").write_text("{}")
    (d / "config.yaml").write_text(CROWDSEC.format(d=d))
    (d / "bouncer.yaml").write_text(BOUNCER.format(d=d, key=KEY))
    (d / "decisions.json").write_text(
        json.dumps([{"duration": "4h", "scope": "ip", "value": t, "type": "ban"} for t in targets])
    )
    cscli = ["cscli", "-c", str(d / "config.yaml")]
    run(where, *cscli, "machines", "add", "bench", "--password", KEY, "--force")
    run(where, *cscli, "bouncers", "add", "bench", "--key", KEY)
    programs = []
    try:
        programs.append(start(where, "crowdsec", "-c", f"{d}/config.yaml", "-no-cs"))
        until("crowdsec", lambda: ":8080 " in run(where, "ss", "-Hltn"), STARTED_WITHIN_S)
        run(where, *cscli, "decisions", "import", "-i", f"{d}/decisions.json")
        begun = time.perf_counter()
        programs.append(start(where, "crowdsec-firewall-bouncer", "-c", f"{d}/bouncer.yaml"))
        until_held(where, len(targets))
        return time.perf_counter() - begun
    finally:
        for program in reversed(programs):
            program.terminate()
            program.wait(timeout=30)


def start(where: str, *argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        entering(where, *argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
