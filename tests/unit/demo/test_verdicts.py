import pytest
from demo.kernel import Told
from demo.verdicts import Verdict, covered, covers, in_kernel, members, windows

HOSTS = ["203.0.113.1", "203.0.113.2"]


def verdict(ts, target, action, **more):
    line = {"ts": ts, "op": "add", "plane": "network", "target": target, "action": action,
            "score": 50.0, "rules": ["r"], "reason": "because"}  # fmt: skip
    return Verdict.read(line | more)


def told(ts, element, op="add"):
    return Told(ts, op, "excise", "block", element)


@pytest.mark.parametrize(
    ("target", "address", "expected"),
    [
        ("203.0.113.1/32", "203.0.113.1", True),
        ("203.0.113.0/24", "203.0.113.77", True),
        ("203.0.113.0/25", "203.0.113.200", False),
        ("2001:db8::/64", "203.0.113.1", False),
        ("an-account", "203.0.113.1", False),
    ],
)
def test_a_target_covers_the_addresses_inside_it(target, address, expected):
    assert expected == covers(target, address)


def test_members_are_the_addresses_that_a_target_covers():
    assert members("203.0.113.0/24", [*HOSTS, "192.0.2.1"]) == HOSTS


def test_covered_counts_enforcing_verdicts_on_the_network_only():
    verdicts = [
        verdict(1.0, "203.0.113.1/32", "observe"),
        verdict(2.0, "203.0.113.2/32", "throttle", tier="slow"),
        verdict(3.0, "acct", "deny", plane="account"),
        verdict(4.0, "203.0.113.1/32", "drop", op="lift"),
    ]
    assert {"203.0.113.2"} == covered(verdicts, HOSTS, ["throttle", "drop"])


def test_a_prefix_covers_all_who_live_in_it():
    assert set(HOSTS) == covered([verdict(1.0, "203.0.113.0/29", "drop")], HOSTS, ["drop"])


def test_the_kernel_names_a_host_without_its_length_and_only_later_ones_count():
    elements = [
        told(0.5, "203.0.113.1"),
        told(1.2, "203.0.113.2"),
        told(1.3, "203.0.113.1"),
        told(1.4, "203.0.113.1"),
    ]
    assert in_kernel(verdict(1.0, "203.0.113.1/32", "drop"), elements) == 1.3
    assert in_kernel(verdict(2.0, "203.0.113.1/32", "drop"), elements) is None


def test_a_window_begins_when_the_bucket_has_settled_and_ends_with_the_next_verdict():
    verdicts = [
        verdict(10.0, "203.0.113.1/32", "throttle", tier="slow"),
        verdict(12.0, "203.0.113.2/32", "throttle", tier="slow"),
        verdict(15.0, "203.0.113.1/32", "throttle", tier="slow", op="renew"),
        verdict(20.0, "203.0.113.1/32", "drop", op="escalate"),
    ]
    spans = [(w.addresses, w.tier, w.start, w.end) for w in windows(verdicts, HOSTS, 30.0)]
    assert spans == [
        (("203.0.113.1",), "slow", 13.0, 20.0),
        (("203.0.113.2",), "slow", 15.0, 30.0),
    ]


def test_a_wider_target_ends_the_window_of_those_inside_it():
    verdicts = [
        verdict(10.0, "203.0.113.1/32", "throttle", tier="slow"),
        verdict(14.0, "203.0.113.0/24", "throttle", tier="crawl"),
    ]
    assert [w.target for w in windows(verdicts, HOSTS, 30.0)] == ["203.0.113.0/24"]
