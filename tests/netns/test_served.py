"""What the clients of a real nginx over TLS feel, and the model server behind it."""

import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from demo.world import WorldError  # noqa: E402 - needs the path above
from tests.bench import served, stream  # noqa: E402
from tests.bench.places import missing  # noqa: E402

from excise.decide.plan import ChangeSet, Element, Measure  # noqa: E402
from excise.decide.span import parse_span  # noqa: E402
from excise.enforce.nft import Nftables  # noqa: E402

pytestmark = pytest.mark.netns

RATE = 100 * 1024
OTHER, SINGLE = "10.1.0.1", "10.1.0.2"
V6_SINGLE = "2001:db8:1::1"
SHARED = ("10.2.0.1", "10.2.0.2")
V6_SHARED = ("2001:db8:2::1", "2001:db8:2::2")
ENDED_WITHIN_S = 2.0


@pytest.fixture
def world():
    absent = missing("nginx", "curl", "openssl")
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    try:
        with served.world([OTHER, SINGLE, V6_SINGLE, *SHARED, *V6_SHARED]) as made:
            yield made
    except WorldError as error:
        pytest.skip(f"no network namespaces here: {error}")


@pytest.fixture
def nft(world):
    enforcer = Nftables(netns=world.server)
    enforcer.open()
    enforcer.set_guards([], [served.TLS_PORT])
    yield enforcer
    enforcer.close(keep=False)


def hold(nft, measure, *targets, rate=0):
    until = time.time() + 600
    elements = tuple(Element(measure, parse_span(t), rate, until) for t in targets)
    nft.apply(ChangeSet(additions=elements))


@pytest.fixture
def flow(world):
    flows = []

    def start(source, path="big", streams=0):
        flows.append(served.Flow.start(world, source, path, streams=streams))
        return flows[-1]

    yield start
    for started in flows:
        started.stop()


def test_each_address_and_each_network_gets_its_rate_and_the_others_all_they_can(world, nft, flow):
    served.serve(world, world.server, served.BOTH)
    targets = (SINGLE, V6_SINGLE, "10.2.0.0/24", "2001:db8:2::/64")
    hold(nft, Measure.EGRESS, *targets, rate=RATE)
    alone = [flow(SINGLE), flow(V6_SINGLE, streams=4)]
    together = [flow(SHARED[0]), flow(SHARED[1], streams=4)]
    together += [flow(V6_SHARED[0]), flow(V6_SHARED[1], streams=4)]
    free = flow(OTHER, streams=4)

    rates = served.rates([*alone, *together, free], 4.0, 6.0)

    by_target = [rates[0], rates[1], rates[2] + rates[3], rates[4] + rates[5]]
    assert [] == [r for r in by_target if not 0.5 * RATE < r < 1.6 * RATE]
    assert rates[-1] > 10 * RATE


def drop_amid_streams(world, namespace, model, nft, flow):
    """Drop a source in the midst of its streams: they end, and nobody else's does."""
    streams = [flow(SINGLE, "tokens/50"), flow(SINGLE, "tokens/50", streams=2)]
    bystander = flow(OTHER, "tokens/50")
    deadline = time.monotonic() + 20
    while not all(f.total for f in (*streams, bystander)):
        served.drain([*streams, bystander], 0.2)
        assert time.monotonic() < deadline, world.complaint("nginx")
    begun = time.time()
    hold(nft, Measure.DROP, SINGLE)
    ends = stream.ended(model, 3)
    got = bystander.total
    served.drain([bystander], 0.5)
    assert 3 == len(ends)
    assert max(e["last"] for e in ends) - begun < ENDED_WITHIN_S
    assert 0 == stream.left(world, namespace, SINGLE)
    assert bystander.total > got


def test_a_drop_stops_the_model_and_leaves_no_socket(world, nft, flow):
    model = served.serve(world, world.server, served.BOTH)
    drop_amid_streams(world, world.server, model, nft, flow)


def test_a_drop_stops_a_model_in_a_container_whose_port_is_published(world, nft, flow):
    nat = "add table ip nat; add chain ip nat pre { type nat hook prerouting priority dstnat; }"
    if world.status(world.server, "nft", nat):
        pytest.skip("this kernel has no NAT")
    with stream.container(world) as inside:
        model = served.serve(world, inside, [f"198.51.100.2:{stream.INSIDE_PORT}"])
        # only the published port is named; the daemon's look finds that there is NAT now
        assert nft.in_sync()
        drop_amid_streams(world, inside, model, nft, flow)
