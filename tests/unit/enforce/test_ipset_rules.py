"""The lines that an operator pastes."""

import re
import shlex

import pytest

from excise.enforce.ipset_layout import standing
from excise.enforce.ipset_rules import MAXELEM, setup, undo
from excise.model.decision import Tier

TIERS = [Tier("slow", egress_bytes_s=51_200), Tier("crawl", 5_120, 2_048, 1.5)]

FILTER = """\
*filter
:excise-cut - [0:0]
-A excise-cut -m set --match-set excise6-allow dst -j RETURN
-A excise-cut -m set ! --match-set excise-ports src -j RETURN
-A excise-cut -p tcp -m set --match-set excise6-block dst -j REJECT --reject-with tcp-reset
-A excise-cut -m set --match-set excise6-block dst -j DROP
-A excise-cut -p tcp -m set --match-set excise6-block-net dst -j REJECT --reject-with tcp-reset
-A excise-cut -m set --match-set excise6-block-net dst -j DROP
COMMIT
"""
INBOUND = """\
-A excise-in -i lo -j RETURN
-A excise-in -m set --match-set excise4-allow src -j RETURN
-A excise-in -m set ! --match-set excise-ports dst -j RETURN
-A excise-in -m set --match-set excise4-block src -j DROP
-A excise-in -m set --match-set excise4-block-net src -j DROP
-A excise-in -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -g excise-new
-A excise-in -m length ! --length 0:120 -g excise-data
"""


def limits(chain, version=4):
    """Return (set, hashlimit's name, rate, mask) of a chain's throttles, in order."""
    found = []
    for line in setup(TIERS).splitlines():
        if not line.startswith(f"-A {chain} ") or f"excise{version}-" not in line:
            continue
        if "hashlimit" not in line:
            found.append("gate" if "-net " in line and "! --match-set" in line else "")
            continue
        sets = re.findall(r"--match-set (\S+)", line)
        assert sets[0] == sets[1], "the second look counts what the first one must not"
        above = re.search(r"--hashlimit-above (\S+)", line)[1]
        mask = re.search(r"--hashlimit-(?:src|dst)mask (\d+)", line)
        name = re.search(r"--hashlimit-name (\S+)", line)[1]
        found.append((sets[0], name, above, mask and mask[1]))
    return [one for one in found if one]


def test_the_order_is_loopback_allowed_ports_and_only_then_what_is_held():
    assert INBOUND in setup(TIERS)
    assert FILTER in setup(TIERS)


def test_addresses_come_first_and_networks_only_for_who_is_in_one():
    expected = [("excise4-egr-5120", "excise4-egr-5120", "5120b/s", None)]
    expected += [("excise4-egr-51200", "excise4-egr-51200", "51200b/s", None), "gate"]
    for rate in (5120, 51200):
        names = [(f"excise4-egr-{rate}-{mask}", str(mask)) for mask in (28, 24, 20, 16, 0)]
        expected += [(name, name, f"{rate}b/s", mask) for name, mask in names]
    assert expected == limits("excise-out")
    assert ["64", "56", "48", "40", "0"] == [one[3] for one in limits("excise-data", 6)[2:]]


def test_connections_are_counted_by_hour_and_a_bucket_lives_until_it_is_full():
    lines = [line for line in setup(TIERS).splitlines() if "excise4-newc-90 " in line]
    (rule,) = (line for line in lines if line.startswith("-A"))
    assert "--hashlimit-above 90/hour --hashlimit-burst 5" in rule
    assert "--hashlimit-htable-expire 201000 " in rule
    assert "--hashlimit-above 6/minute" in setup([Tier("x", new_connections_per_min=6.0)])


def test_the_second_look_alone_is_counted():
    for line in setup(TIERS).splitlines():
        if "hashlimit" in line:
            first, second = re.findall(r"--match-set \S+ \S+( ! --update-counters)?", line)
            assert (" ! --update-counters", "") == (first, second)


def test_every_set_is_made_and_referred_to():
    text = setup(TIERS)
    made = {
        name
        for names in re.findall(r"^for s in (.*); do$", text, re.MULTILINE)
        for name in names.split()
    }
    referred = set(re.findall(r"--match-set (\S+)", text))
    assert {spec.name for spec in standing(TIERS)} == made == referred
    assert f"hash:ip family inet6 maxelem {MAXELEM} timeout 0 counters" in text
    assert "bitmap:port range 0-65535" in text


def test_without_tiers_nothing_is_throttled():
    assert "hashlimit" not in setup([])
    assert INBOUND in setup([])


def test_what_is_set_up_is_undone():
    jumps = re.findall(r"^(\S+) -w -t (\S+) -C (\S+) -j (\S+)", setup(TIERS), re.MULTILINE)
    assert 8 == len(jumps)
    for tool, table, hook, chain in jumps:
        assert f"while {tool} -w -t {table} -D {hook} -j {chain} 2>/dev/null; do :; done" in undo()
    chains = re.findall(r"^:(\S+) - ", setup(TIERS), re.MULTILINE)
    removed = re.findall(r"-X (\S+)", undo())
    assert sorted(chains) == sorted(removed)


@pytest.mark.parametrize("text", [setup(TIERS), undo()])
def test_every_line_can_be_pasted(text):
    for line in text.splitlines():
        shlex.split(line, comments=True)
    assert text.endswith("\n")
