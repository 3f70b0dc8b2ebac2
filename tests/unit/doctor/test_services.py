"""Files that tell of other packet filters."""

import pytest

from excise.doctor.check import State
from excise.doctor.services import Places, check_services

FLUSHES = "#!/usr/sbin/nft -f\n\nflush ruleset\n\ntable inet filter {}\n"


@pytest.fixture
def places(tmp_path):
    made = Places(tmp_path / "nftables.conf", tmp_path / "systemd", tmp_path)
    (made.systemd / "sysinit.target.wants").mkdir(parents=True)
    made.nftables_conf.write_text(FLUSHES)
    return made


def enable(places):
    (places.systemd / "sysinit.target.wants" / "nftables.service").touch()


def test_a_host_without_them_has_nothing_to_say(tmp_path):
    assert [] == list(check_services(Places(tmp_path / "no", tmp_path, tmp_path), owner=False))


@pytest.mark.parametrize(("owner", "expected"), [(False, State.WARN), (True, State.OK)])
def test_a_service_that_flushes_everything_is_named(places, owner, expected):
    enable(places)
    (check,) = check_services(places, owner=owner)
    assert ("nftables.service", expected) == (check.name, check.state)


def test_a_service_that_is_not_enabled_or_does_not_flush_is_no_matter(places):
    assert [] == list(check_services(places, owner=False))
    enable(places)
    places.nftables_conf.write_text("# flush ruleset\nflush table inet filter\n")
    assert [] == list(check_services(places, owner=False))


def test_tables_of_the_old_iptables_are_named(places):
    (places.proc_net / "ip_tables_names").write_text("nat\nfilter\n")
    (places.proc_net / "ip6_tables_names").write_text("")
    (check,) = check_services(places, owner=False)
    assert (State.WARN, "look at them: iptables-legacy-save") == (check.state, check.advice)
    assert check.text.startswith("the tables filter, nat of iptables-legacy are in use")
