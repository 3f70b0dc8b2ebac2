"""Every kind of input through the real daemon: lines arrive once, whatever happens to it."""

import json
import shutil
import signal
import socket
import subprocess
from contextlib import closing

import pytest

from excise.cli.client import _UnixConnection

REMOTE = "/lib/systemd/systemd-journal-remote"
JOURNAL = pytest.mark.skipif(
    shutil.which(REMOTE) is None or shutil.which("journalctl") is None,
    reason="takes journalctl and systemd-journal-remote (Debian package of that name)",
)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def line(record):
    return json.dumps(record).encode()


def say(directory, records):
    """Write records to a journal as messages of a unit, without a journald."""
    directory.mkdir(exist_ok=True)
    export = b"".join(
        b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=1\n_BOOT_ID=%032d\n"
        b"_SYSTEMD_UNIT=gate.service\nMESSAGE=%s\n\n" % (record["ts"] * 1e6, 1, line(record))
        for record in records
    )
    command = [REMOTE, "-o", directory / "made.journal", "-"]
    subprocess.run(command, input=export, check=True, capture_output=True)


def inputs(host):
    return {view["name"]: view for view in host.status()["inputs"]}


def records_of(host):
    return {name: view["records"] for name, view in inputs(host).items() if view["records"]}


@JOURNAL
def test_lines_of_every_kind_of_input_arrive(excise, requests):
    udp, tcp = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    host = excise()
    host.configure(
        inputs=[
            {"file": f"{host.root}/logs/*.log", "format": "record"},
            {"journal": {"units": ["gate"], "directory": f"{host.root}/journal"}},
            {"datagram": {"unix": f"{host.root}/bare.sock", "mode": "0600"}, "format": "record"},
            {"syslog": f"{host.root}/syslog.sock", "format": "record"},
            {"syslog": {"udp": f"127.0.0.1:{udp}"}, "format": "record"},
            {"syslog": {"tcp": f"127.0.0.1:{tcp}"}, "format": "record"},
            {"http": True},
        ]
    )
    (host.root / "logs").mkdir()
    say(host.root / "journal", requests(1))  # history
    host.start()
    (record,) = requests(1, client="198.51.100.7")
    raw = line(record)

    (host.root / "logs" / "later.log").write_bytes(raw + b"\n")
    say(host.root / "journal", [record])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(raw, f"{host.root}/bare.sock")
        sock.sendto(b"<190>Nov 23 14:37:26 dg: " + raw, f"{host.root}/syslog.sock")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"<190>Nov 23 14:37:26 h dg: " + raw, ("127.0.0.1", udp))
    with socket.create_connection(("127.0.0.1", tcp)) as sock:
        message = b"<190>1 - h dg - - - " + raw
        sock.sendall(b"%d %s" % (len(message), message))
    with closing(_UnixConnection(host.socket)) as api:
        api.request("POST", "/v1/records", raw, {"Content-Type": "application/x-ndjson"})
        assert 200 == api.getresponse().status

    expected = {
        f"{host.root}/logs/later.log",
        f"journal:{host.root}/journal,gate.service",
        f"datagram:{host.root}/bare.sock",
        f"syslog:{host.root}/syslog.sock",
        f"syslog:udp:127.0.0.1:{udp}",
        f"syslog:tcp:127.0.0.1:{tcp}",
        "http",
    }
    host.wait_for(lambda: dict.fromkeys(expected, 1) == records_of(host))
    assert all(view["last_heard_ts"] for view in inputs(host).values())
    assert 0 == host.end(signal.SIGTERM)
    assert not (host.root / "bare.sock").exists()


@JOURNAL
def test_a_killed_daemon_reads_journal_and_patterns_on_where_it_was(excise, requests):
    host = excise()
    logs, journal = host.root / "logs", host.root / "journal"
    host.configure(
        inputs=[
            {"file": f"{logs}/*.log", "format": "record", "from_start": True},
            {
                "journal": {"units": ["gate"], "directory": str(journal)},
                "format": "record",
                "from_start": True,
            },
        ]
    )
    logs.mkdir()
    total = 0
    for turn in range(3):
        some = requests(4, client="198.51.100.7", start=1_750_000_000.0 + 10 * turn)
        say(journal, some)
        for name in ("a", "b", f"new{turn}"):
            with (logs / f"{name}.log").open("ab") as log:
                log.write(b"".join(line(record) + b"\n" for record in some))
            total += len(some)
        total += len(some)
        host.start()
        host.wait_for(lambda: host.status()["engine"]["records"] >= total)  # noqa: B023
        assert total == host.status()["engine"]["records"]
        host.end(signal.SIGKILL)
        (logs / "a.log").rename(logs / f"a.log.{9 - turn}")


def test_what_stands_in_the_way_of_an_input_is_said_at_the_start(excise, tmp_path):
    taken = tmp_path / "taken.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(taken))
        host = excise(inputs=[{"datagram": str(taken)}])
        status, said = host.fail_to_start()

    assert 1 == status
    assert f"{taken} is read by another program; stop it, or name another path" in said


def test_a_journal_that_is_not_there_is_said_at_the_start(excise, tmp_path):
    directory = str(tmp_path / "none")
    host = excise(inputs=[{"journal": {"units": ["gate"], "directory": directory}}])
    status, said = host.fail_to_start()

    assert 1 == status
    assert "cannot be read" in said
    assert "group systemd-journal" in said
