"""What a real HAProxy tells of connections that end where the client is, and of some that do not.

The client is 100 ms from the server; the relay is 5 ms from it, and 100 ms from the client.
"""

import json
import sys
from pathlib import Path

import pytest
from demo.world import SERVER_ADDRESS

from excise.engine import Engine
from excise.model.settings import Settings
from excise.model.step import Observed
from excise.rulecheck import load_rules

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[3]
WIRE = Path(__file__).with_name("slow_wire.py")
CLIENT, RELAY = "203.0.113.7", "198.51.100.2"
FAR_MS, NEAR_MS = 50, 2.5  # one way

#: opens connections one after another and asks so many times over each
ASK = """
import json, socket, ssl, sys
ask = json.loads(sys.argv[1])
context = ssl.create_default_context(cafile=ask["ca"])
context.maximum_version = ssl.TLSVersion[ask["version"]]
body = json.dumps({"model": "stub-70b", "messages": [], "max_tokens": 3})
request = (f"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\n"
           f"Content-Length: {len(body)}\\r\\n\\r\\n{body}").encode()
for requests in ask["connections"]:
    plain = socket.create_connection((ask["via"], 443), timeout=20)
    with context.wrap_socket(plain, server_hostname=ask["host"]) as c:
        for _ in range(requests):
            c.sendall(request)
            seen = b""
            while b"\\r\\n\\r\\n" not in seen:
                seen += c.recv(65536)
            head, _, rest = seen.partition(b"\\r\\n\\r\\n")
            lengths = [l for l in head.lower().split(b"\\r\\n") if b"content-length" in l]
            assert head.startswith(b"HTTP/1.1 200") and lengths, head
            left = int(lengths[0].split(b":")[1]) - len(rest)
            while left > 0:
                left -= len(c.recv(65536))
"""

#: passes on what it gets, both ways; the connection to the server is its own
PASS_ON = """
import asyncio, sys
async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def relay(reader, writer):
    far_reader, far_writer = await asyncio.open_connection(sys.argv[2], 443)
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
async def main():
    async with await asyncio.start_server(relay, sys.argv[1], 443) as server:
        await server.serve_forever()
asyncio.run(main())
"""


def stretch(world, device, one, other, one_way_ms):
    """Join two (namespace, address, networks behind the other end) by a long wire."""
    for namespace, address, behind in (one, other):
        world.run(namespace, "ip", "tuntap", "add", device, "mode", "tun")
        world.run(namespace, "ip", "addr", "replace", f"{address}/32", "dev", "lo")
        world.run(namespace, "ip", "link", "set", device, "up")
        for network in behind:
            world.run(namespace, "ip", "route", "add", network, "dev", device, "src", address)
    names = one[0], other[0], device, str(one_way_ms)
    world.start(device, world.server, sys.executable, str(WIRE), *names)


@pytest.fixture
def stretched(haproxy, namespaces):
    """HAProxy with a client far away, and a relay near by."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("this host has no TUN device, of which the long wires are made")
    world, relay = haproxy.world, namespaces().name
    client = world.client, CLIENT
    server = world.server, SERVER_ADDRESS
    stretch(world, "far", (*client, [SERVER_ADDRESS]), (*server, [CLIENT]), FAR_MS)
    stretch(world, "tofro", (*client, [RELAY]), (relay, RELAY, [CLIENT]), FAR_MS)
    stretch(world, "near", (relay, RELAY, [SERVER_ADDRESS]), (*server, [RELAY]), NEAR_MS)
    world.start("relay", relay, sys.executable, "-c", PASS_ON, RELAY, SERVER_ADDRESS)
    world.run(relay, "sh", "-c", "until ss -Hltn | grep -q :443; do sleep 0.05; done")
    return haproxy


def ask(front, via, connections, version="TLSv1_3"):
    ask = {"ca": str(front.world.path("cert.pem")), "host": SERVER_ADDRESS, "via": via,
           "connections": connections, "version": version}  # fmt: skip
    front.world.run(front.world.client, sys.executable, "-c", ASK, json.dumps(ask))
    return front.records(sum(connections))


def explained(records):
    """Return what the shipped rules of this family make of the only client."""
    book, errors = load_rules([ROOT / "rules" / "network"])
    assert [] == errors
    engine = Engine(Settings(), book)
    engine.step([Observed(records)])
    (client,) = {record.client for record in records}
    return engine.explain(client)


@pytest.mark.parametrize("version", ["TLSv1_3", "TLSv1_2"])
def test_a_client_that_is_far_away_and_alone_gives_no_evidence(stretched, version):
    # TLS 1.2 takes the client a second round trip, but the server has seen all after the first.
    records = ask(stretched, SERVER_ADDRESS, [1] * 6, version)
    seen = explained(records)
    told = {(record.client, record.tls) for record in records}
    assert {(CLIENT, version.replace("_", "."))} == told
    assert pytest.approx(2 * FAR_MS, rel=0.15) == seen.features["tcp_rtt_ms"]
    assert pytest.approx(2 * FAR_MS, rel=0.15) == seen.features["tls_handshake_ms"]
    assert ((), 6) == (seen.evidence, seen.features["handshakes"])


def test_a_client_behind_a_relay_is_told_from_it_by_its_handshakes(stretched):
    records = ask(stretched, RELAY, [1] * 6)
    seen = explained(records)
    assert {RELAY} == {record.client for record in records}
    assert pytest.approx(2 * NEAR_MS, abs=3) == seen.features["tcp_rtt_ms"]
    assert pytest.approx(2 * (FAR_MS + NEAR_MS), rel=0.15) == seen.features["tls_handshake_ms"]
    assert ["network.behind-a-proxy"] == [e.rule for e in seen.evidence]


def test_only_the_first_request_of_a_connection_tells_its_handshake(stretched):
    records = ask(stretched, SERVER_ADDRESS, [3, 1])
    assert [True, False, False, True] == [record.tls_handshake > 0 for record in records]
    assert all(0.09 < record.tcp_rtt < 0.15 for record in records)


def curl(front, port, *more):
    url = f"https://{SERVER_ADDRESS}:{port}/v1/chat/completions"
    asks = ["--cacert", str(front.world.path("cert.pem")), "-d", '{"messages": []}', url, url]
    nowhere = ["-o", "/dev/null", "-o", "/dev/null"]
    front.world.run(front.world.client, "curl", "-sSf", *more, *asks, *nowhere)
    return front.records(2)


def test_so_it_is_with_http_2(haproxy):
    records = curl(haproxy, 443, "--http2")
    assert ["h2", "h2"] == [record.alpn for record in records]
    assert [True, False] == [record.tls_handshake > 0 for record in records]


def test_behind_proxy_protocol_nothing_is_told_of_the_connection(haproxy):
    records = curl(haproxy, 444, "--haproxy-protocol")
    assert [(-1.0, -1.0)] * 2 == [(record.tls_handshake, record.tcp_rtt) for record in records]
    assert ["TLSv1.3"] * 2 == [record.tls for record in records]


def test_plaintext_has_no_handshake_to_tell(haproxy):
    haproxy.ask({"messages": []}, tls=False)
    (record,) = haproxy.records(1)
    assert (-1.0, True) == (record.tls_handshake, record.tcp_rtt > 0)
