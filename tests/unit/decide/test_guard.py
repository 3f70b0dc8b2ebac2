import pytest

from excise.decide.guard import without


@pytest.mark.parametrize(
    ("cidrs", "holes", "left"),
    [
        (["192.0.2.0/24"], [], ["192.0.2.0/24"]),
        (["192.0.2.7/32"], ["192.0.2.7/32"], []),
        (["192.0.2.7/32"], ["192.0.2.0/24"], []),
        (["192.0.2.0/30"], ["192.0.2.1/32"], ["192.0.2.0/32", "192.0.2.2/31"]),
        (["2001:db8::/63"], ["2001:db8::/64"], ["2001:db8:0:1::/64"]),
        (["192.0.2.0/24", "2001:db8::/32"], ["198.51.100.0/24"], ["192.0.2.0/24", "2001:db8::/32"]),
        (["192.0.2.0/31"], ["192.0.2.0/32", "192.0.2.1/32"], []),
    ],
)
def test_networks_without_others_cover_exactly_the_rest(cidrs, holes, left):
    assert left == sorted(without(cidrs, holes))
