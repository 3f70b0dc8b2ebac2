"""Programs that really send syslog, and what arrives of it: nginx, and logger of util-linux."""

import http.client
import shutil
import socket
import subprocess
import time
from contextlib import closing

import pytest

from excise.config import SocketConfig, Wire
from excise.sources.datagram import Datagram
from excise.sources.syslog_tcp import SyslogTcp

WAIT_S = 20.0
REQUESTS = 20
NGINX = """\
daemon off;
master_process off;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{}}
http {{
  log_format record escape=json '{{"ts":$msec,"client":"$remote_addr","status":$status,'
    '"user_agent":"$http_user_agent","connection":"$connection",'
    '"connection_requests":"$connection_requests"}}';
  access_log {root}/access.log record;
  access_log syslog:server=unix:{root}/in.sock,nohostname,tag=dg record;
  access_log syslog:server=127.0.0.1:{udp},tag=dg record;
  client_body_temp_path {root}/t; proxy_temp_path {root}/t; fastcgi_temp_path {root}/t;
  uwsgi_temp_path {root}/t; scgi_temp_path {root}/t;
  server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
"""


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def gather(source, count):
    """Poll until so many lines came."""
    lines, deadline = [], time.monotonic() + WAIT_S
    while len(lines) < count and time.monotonic() < deadline:
        chunk = source.poll()
        if chunk is None:
            time.sleep(0.01)
        else:
            lines += chunk.lines
    return lines


@pytest.fixture
def nginx(tmp_path):
    """Start nginx; return (its port, sources of its unix socket and of UDP)."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("takes nginx (Debian package nginx-light)")
    udp, port = free_port(socket.SOCK_DGRAM), free_port()
    path = tmp_path / "in.sock"
    sources = (
        Datagram(SocketConfig(Wire.UNIX, syslog=True, path=path)),
        Datagram(SocketConfig(Wire.UDP, syslog=True, address=("127.0.0.1", udp))),
    )
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(NGINX.format(root=tmp_path, udp=udp, port=port))
    process = subprocess.Popen([program, "-c", configuration, "-e", tmp_path / "error.log"])
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    yield port, sources
    process.terminate()
    process.wait(WAIT_S)
    for source in sources:
        source.close()


def test_lines_of_nginx_arrive_as_they_are_in_its_file(tmp_path, nginx):
    port, sources = nginx
    # The client may write what it likes: the header is not its to forge.
    agents = ["plain", "<13>Jan  1 00:00:00 h t: {}", 'a"b\\c: d', "x\tx"]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as client:
        got = [[], []]
        for n in range(REQUESTS):
            client.request("GET", "/", headers={"User-Agent": agents[n % len(agents)]})
            client.getresponse().read()
            for lines, source in zip(got, sources, strict=True):
                lines.extend(gather(source, 1))
    logged = (tmp_path / "access.log").read_bytes().splitlines()

    assert REQUESTS == len(logged)
    assert [logged, logged] == got
    assert [{}, {}] == [source.toll.lost for source in sources]


def test_lines_that_nginx_could_not_send_are_missed(nginx):
    port, (unix, _) = nginx
    asked = 400
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as client:
        client.request("GET", "/")  # one line, to know the connection from its beginning
        client.getresponse().read()
        got = len(gather(unix, 1))
        for _ in range(asked):  # nobody reads meanwhile
            client.request("GET", "/")
            client.getresponse().read()
        got += len(gather(unix, 1))
        client.request("GET", "/")
        client.getresponse().read()
        got += len(gather(unix, 1))
    missing = unix._sequence.settle(time.monotonic() + 1e6)

    assert asked + 2 - got == missing
    assert (missing > 0) == (unix.toll.lost["queue-full"] > 0)


@pytest.mark.parametrize("framing", [["--octet-count"], []])
@pytest.mark.parametrize("header", ["--rfc3164", "--rfc5424=notq"])
def test_messages_of_logger_arrive_over_tcp(framing, header):
    logger = shutil.which("logger")
    if logger is None:
        pytest.skip("takes logger (Debian package bsdutils)")
    source = SyslogTcp(SocketConfig(Wire.TCP, syslog=True, address=("127.0.0.1", 0)))
    where = ["--tcp", "--server", "127.0.0.1", "--port", str(source.port)]
    texts = ['{"ts": 1750000000, "client": "203.0.113.7"}', "a: b", "203.0.113.7 - - [x]"]
    try:
        done = subprocess.Popen(
            [logger, *where, *framing, header, "--tag", "gate"], stdin=subprocess.PIPE
        )
        done.communicate("\n".join(texts).encode(), timeout=WAIT_S)
        lines = gather(source, len(texts))
    finally:
        source.close()

    assert [text.encode() for text in texts] == lines
