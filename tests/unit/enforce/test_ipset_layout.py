"""Which set a span is in, by name."""

import pytest

from excise.decide.plan import Measure
from excise.decide.span import Span, parse_span
from excise.enforce import ipset_layout as layout
from excise.model.decision import Tier
from excise.model.settings import DEFAULT_TIERS


def piece(first, last):
    return Span(4, parse_span(first).start, parse_span(last).start)


@pytest.mark.parametrize(
    ("measure", "span", "rate", "name", "typename"),
    [
        (Measure.DROP, "203.0.113.7", 0, "excise4-block", "hash:ip"),
        (Measure.DROP, "198.51.100.0/24", 0, "excise4-block-net", "hash:net"),
        (Measure.DROP, "2001:db8::1", 0, "excise6-block", "hash:ip"),
        (Measure.EGRESS, "203.0.113.7", 51_200, "excise4-egr-51200", "hash:ip"),
        (Measure.EGRESS, "203.0.113.0/24", 51_200, "excise4-egr-51200-24", "hash:net"),
        (Measure.INGRESS, "203.0.113.0/30", 2_048, "excise4-igr-2048-28", "hash:net"),
        (Measure.INGRESS, "203.0.112.0/22", 2_048, "excise4-igr-2048-20", "hash:net"),
        (Measure.CONNECTIONS, "198.18.0.0/15", 360, "excise4-newc-360-0", "hash:net"),
        (Measure.EGRESS, "2001:db8::/64", 5_120, "excise6-egr-5120-64", "hash:net"),
        (Measure.EGRESS, "2001:db8::/60", 5_120, "excise6-egr-5120-56", "hash:net"),
        (Measure.EGRESS, "2001:db8::/120", 5_120, "excise6-egr-5120-64", "hash:net"),
        (Measure.EGRESS, "2001:db8::/32", 5_120, "excise6-egr-5120-0", "hash:net"),
    ],
)
def test_a_span_is_in_the_set_of_its_measure_rate_and_bucket(measure, span, rate, name, typename):
    spec = layout.spec_of(measure, parse_span(span), rate)
    assert (name, typename) == (spec.name, spec.kind.typename)
    assert spec == layout.parse_name(name)
    assert measure is spec.measure


def test_pieces_of_a_network_share_the_bucket_of_all_of_the_piece():
    span = piece("192.0.2.1", "192.0.2.119")
    assert "excise4-egr-5120-24" == layout.spec_of(Measure.EGRESS, span, 5_120).name


@pytest.mark.parametrize(
    "name",
    [
        "excise",
        "excise4-",
        "excise5-block",
        "excise4-blocked",
        "excise4-egr",
        "excise4-egr-fast",
        "excise4-block.new",
        "excise-allow",
        "myexcise4-block",
    ],
)
def test_names_of_others_are_not_ours(name):
    assert layout.parse_name(name) is None


def test_every_standing_set_has_a_name_of_its_own_that_is_read_back():
    specs = layout.standing([*DEFAULT_TIERS, Tier("x", 1 << 30, 1 << 30, 600_000.0)])
    names = [spec.name for spec in specs]
    assert len(names) == len(set(names))
    assert specs == [layout.parse_name(name) for name in names]
    assert 31 >= max(len(name + layout.TEMPORARY) for name in names)


def test_tiers_of_one_rate_share_their_sets_and_tiers_without_a_limit_have_none():
    one = layout.standing([Tier("a", 5_120), Tier("b", 5_120)])
    assert one == layout.standing([Tier("a", 5_120)])
    assert {"egr"} == {spec.role for spec in one if spec.rate}


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (parse_span("192.0.2.0/24"), ["192.0.2.0/24"]),
        (parse_span("192.0.2.7"), ["192.0.2.7/32"]),
        (parse_span("0.0.0.0/0"), ["0.0.0.0/1", "128.0.0.0/1"]),
        (parse_span("::/0"), ["::/1", "8000::/1"]),
        (
            piece("192.0.2.1", "192.0.2.6"),
            ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"],
        ),
        (piece("255.255.255.254", "255.255.255.255"), ["255.255.255.254/31"]),
    ],
)
def test_a_span_becomes_the_fewest_networks(span, expected):
    keys = list(layout.cidrs(span))
    spans = [layout.span_of(span.version, key) for key in keys]
    assert expected == [str(s) for s in spans]
    assert [cidr.rpartition("/")[2] for cidr in expected] == [str(key & 0xFF) for key in keys]
