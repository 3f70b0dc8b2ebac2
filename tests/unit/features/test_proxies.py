"""Who brings other people's requests is a proxy."""

import numpy as np
import pytest

from excise.features.proxies import MOST, Proxies


def seen(*peers):
    proxies = Proxies()
    proxies.see(peers, np.arange(1.0, len(peers) + 1))
    return proxies


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("203.0.113.7/32", True),
        ("203.0.113.8/32", False),
        ("203.0.113.0/24", True),
        ("198.51.100.0/24", False),
        ("2001:db8:1::/64", True),
        ("2001:db8::/32", True),
        ("2001:db8:2::/64", False),
        ("0.0.0.0/32", False),
    ],
)
def test_inside(target, expected):
    proxies = seen("203.0.113.7", "2001:db8:1::5", "", "0.0.0.0")
    assert expected == proxies.inside(target, 10.0)


def test_a_proxy_is_known_only_after_the_moment_it_was_seen():
    proxies = seen("203.0.113.7")
    assert (False, True) == (
        proxies.inside("203.0.113.7/32", 1.0),
        proxies.inside("203.0.113.7/32", 1.1),
    )


def test_what_is_kept_is_bounded():
    peers = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(MOST + 10)]
    proxies = seen(*peers)
    assert len(proxies.dump()) <= MOST
    assert proxies.inside(f"{peers[-1]}/32", 1e9)


def test_a_clock_that_is_set_back_takes_them_along():
    proxies = seen("203.0.113.7")
    proxies.step_back(0.5)
    assert [("203.0.113.7/32", 0.5, 0.5)] == proxies.dump()
