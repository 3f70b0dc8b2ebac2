"""What the kernel ought to hold, told by cases."""

import pytest

from excise.decide.desired import desired
from excise.decide.plan import ChangeSet, Element, Measure, gather, plan
from excise.decide.span import merged, parse_span
from excise.model.decision import Action, Decision, Plane, Tier

SLOW = Tier("slow", egress_bytes_s=51_200, ingress_bytes_s=20_480)
CRAWL = Tier("crawl", egress_bytes_s=5_120, ingress_bytes_s=2_048, new_connections_per_min=6.0)
TIERS = (SLOW, CRAWL)


def decision(target, action=Action.DROP, tier=None, until=600.0):
    return Decision(
        id=target,
        plane=Plane.NETWORK,
        target=target,
        action=action,
        tier=tier,
        since=0.0,
        until=until,
        score=90.0,
        rules=(),
        reason="",
    )


def slow(target, until=600.0):
    return decision(target, Action.THROTTLE, "slow", until)


def crawl(target, until=600.0):
    return decision(target, Action.THROTTLE, "crawl", until)


def shown(held, measure=Measure.DROP):
    return {str(span): (e.rate, e.until) for span, e in held.held[measure].items()}


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        pytest.param(
            [decision("203.0.113.7/32")], {"203.0.113.7/32": (0, 600.0)}, id="a host is a host"
        ),
        pytest.param(
            [decision("203.0.113.0/24"), decision("203.0.113.7/32")],
            {"203.0.113.0/24": (0, 600.0)},
            id="a wider drop that lasts as long covers a narrower one",
        ),
        pytest.param(
            [decision("203.0.113.0/24", until=300.0), decision("203.0.113.7/32")],
            {"203.0.113.0/24": (0, 300.0), "203.0.113.7/32": (0, 600.0)},
            id="a host that outlasts its network stands beside it",
        ),
        pytest.param(
            [decision("203.0.113.0/24", until=300.0), decision("203.0.113.128/25")],
            {"203.0.113.0/25": (0, 300.0), "203.0.113.128/25": (0, 600.0)},
            id="a network that outlasts a wider one is cut out of it",
        ),
        pytest.param(
            [decision("203.0.113.0/25"), decision("203.0.113.128/25")],
            {"203.0.113.0/25": (0, 600.0), "203.0.113.128/25": (0, 600.0)},
            id="neighbours are never joined",
        ),
        pytest.param(
            [decision("2001:db8:0:1::/64"), decision("2001:db8::1/128")],
            {"2001:db8:0:1::/64": (0, 600.0), "2001:db8::1/128": (0, 600.0)},
            id="v6 networks and hosts",
        ),
        pytest.param([decision("203.0.113.7/32", until=100.0)], {}, id="what has lapsed is gone"),
        pytest.param(
            [decision("203.0.113.7/32", Action.OBSERVE)], {}, id="observing touches nothing"
        ),
        pytest.param(
            [decision("0.0.0.0/0")], {"0.0.0.0/0": (0, 600.0)}, id="the whole address space"
        ),
    ],
)
def test_drops(decisions, expected):
    assert expected == shown(desired(decisions, TIERS, (), 100.0))


def test_a_narrow_drop_is_there_when_the_wide_one_has_gone():
    both = [decision("203.0.113.0/24", until=600.0), decision("203.0.113.7/32", until=600.0)]
    late = [decision("203.0.113.7/32", until=900.0)]
    assert {"203.0.113.0/24"} == shown(desired(both, TIERS, (), 0.0)).keys()
    assert {"203.0.113.7/32"} == shown(desired([*both, *late], TIERS, (), 600.0)).keys()


def test_a_tier_becomes_one_element_a_measure_in_the_units_of_the_measure():
    held = desired([crawl("203.0.113.7/32")], TIERS, (), 0.0)
    assert {"203.0.113.7/32": (5_120, 600.0)} == shown(held, Measure.EGRESS)
    assert {"203.0.113.7/32": (2_048, 600.0)} == shown(held, Measure.INGRESS)
    assert {"203.0.113.7/32": (360, 600.0)} == shown(held, Measure.CONNECTIONS)


def test_a_tier_without_a_limit_leaves_that_measure_alone():
    held = desired([slow("203.0.113.7/32")], TIERS, (), 0.0)
    assert {} == shown(held, Measure.CONNECTIONS)


def test_a_tier_that_is_no_longer_configured_counts_as_the_mildest():
    gone = decision("203.0.113.7/32", Action.THROTTLE, "gone")
    assert {"203.0.113.7/32": (51_200, 600.0)} == shown(
        desired([gone], TIERS, (), 0.0), Measure.EGRESS
    )


@pytest.mark.parametrize("per_min", [0.0, 0.001])
def test_a_rate_is_never_zero_since_the_kernel_refuses_it(per_min):
    tier = Tier("still", new_connections_per_min=per_min)
    held = desired([decision("203.0.113.7/32", Action.THROTTLE, "still")], [tier], (), 0.0)
    assert {"203.0.113.7/32": (1, 600.0)} == shown(held, Measure.CONNECTIONS)


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        pytest.param(
            [slow("203.0.113.0/24"), slow("203.0.113.0/28")],
            {"203.0.113.0/24": (51_200, 600.0)},
            id="a network under the same tier shares the wider one's bucket",
        ),
        pytest.param(
            [crawl("203.0.113.0/24"), slow("203.0.113.7/32")],
            {"203.0.113.0/24": (5_120, 600.0)},
            id="a milder throttle on a host within changes nothing",
        ),
        pytest.param(
            [slow("203.0.113.0/24"), crawl("203.0.113.128/25")],
            {"203.0.113.0/25": (51_200, 600.0), "203.0.113.128/25": (5_120, 600.0)},
            id="a stricter network is cut out of a wider one",
        ),
        pytest.param(
            [slow("203.0.113.0/24"), crawl("203.0.113.7/32")],
            {"203.0.113.0/24": (51_200, 600.0), "203.0.113.7/32": (5_120, 600.0)},
            id="a stricter host stands beside its network, which stays whole",
        ),
        pytest.param(
            [slow("203.0.113.7/32"), decision("203.0.113.0/24")], {}, id="a drop beats a throttle"
        ),
        pytest.param(
            [slow("203.0.113.7/32"), decision("203.0.113.7/32", until=300.0)],
            {"203.0.113.7/32": (51_200, 600.0)},
            id="a throttle that outlasts a drop waits behind it",
        ),
    ],
)
def test_throttles(decisions, expected):
    assert expected == shown(desired(decisions, TIERS, (), 0.0), Measure.EGRESS)


@pytest.mark.parametrize(
    ("protected", "expected"),
    [
        ("203.0.113.7", {"203.0.113.0-203.0.113.6", "203.0.113.8/29"}),
        ("203.0.113.8/29", {"203.0.113.0/29"}),
        ("203.0.113.0/24", set()),
        ("198.51.100.0/24", {"203.0.113.0/28"}),
        ("::/0", {"203.0.113.0/28"}),
    ],
)
def test_what_is_protected_is_cut_out(protected, expected):
    assert expected == shown(desired([decision("203.0.113.0/28")], TIERS, [protected], 0.0)).keys()


def test_a_protected_host_is_not_dropped():
    assert {} == shown(desired([decision("203.0.113.7/32")], TIERS, ["203.0.113.0/24"], 0.0))


def test_a_renewal_is_an_addition_alone():
    old = Element(Measure.DROP, parse_span("203.0.113.7"), 0, 100.0)
    new = Element(Measure.DROP, parse_span("203.0.113.7"), 0, 700.0)
    assert ChangeSet(additions=(new,)) == plan(gather([new]), gather([old]))


def test_a_changed_rate_takes_the_element_out_and_in():
    old = Element(Measure.EGRESS, parse_span("203.0.113.7"), 51_200, 100.0)
    new = Element(Measure.EGRESS, parse_span("203.0.113.7"), 5_120, 100.0)
    assert ChangeSet((old,), (new,)) == plan(gather([new]), gather([old]))


def test_networks_in_text_merge_into_disjoint_spans():
    texts = ["203.0.113.128/25", "203.0.113.0/25", "203.0.113.7", "2001:db8::/33", "198.51.100.9"]
    assert ["198.51.100.9/32", "203.0.113.0/24", "2001:db8::/33"] == [str(s) for s in merged(texts)]


@pytest.mark.parametrize("text", ["", "203.0.113", "203.0.113.7/33", "example", "2001:db8::/129"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_span(text)
