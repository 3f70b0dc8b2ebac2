"""The backend without a kernel."""

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather
from excise.decide.span import parse_span
from excise.enforce.base import Enforcer, Witnessed
from excise.enforce.dryrun import DryRun

ONE = Element(Measure.DROP, parse_span("203.0.113.7"), 0, 600.0)
TWO = Element(Measure.EGRESS, parse_span("203.0.113.0/24"), 5_120, 900.0)


@pytest.fixture
def dry():
    now = [100.0]
    enforcer = DryRun(clock=lambda: now[0])
    enforcer.open()
    return enforcer, now


def test_it_is_an_enforcer():
    enforcer: Enforcer = DryRun()
    assert "dry-run" == enforcer.name


def test_it_holds_what_was_applied_and_counts_it(dry):
    enforcer, _now = dry
    enforcer.apply(ChangeSet(additions=(ONE, TWO)))
    enforcer.apply(ChangeSet(removals=(ONE,)))
    assert gather([TWO]) == enforcer.read()
    assert (2, 1) == (enforcer.additions, enforcer.removals)


def test_what_has_lapsed_is_gone_as_in_the_kernel(dry):
    enforcer, now = dry
    enforcer.apply(ChangeSet(additions=(ONE, TWO)))
    now[0] = 600.0
    assert gather([TWO]) == enforcer.read()


def test_a_replacement_leaves_nothing_else(dry):
    enforcer, _now = dry
    enforcer.apply(ChangeSet(additions=(ONE,)))
    enforcer.replace(gather([TWO]))
    assert gather([TWO]) == enforcer.read()


def test_guards_are_kept_in_canonical_form(dry):
    enforcer, _now = dry
    enforcer.set_guards(["192.0.2.128/25", "192.0.2.0/25"], [8443, 443, 443])
    assert (("192.0.2.0/24",), (443, 8443)) == (enforcer.allow, enforcer.ports)


@pytest.mark.parametrize("keep", [True, False])
def test_closing_keeps_what_it_is_told_to_keep(dry, keep):
    enforcer, _now = dry
    enforcer.apply(ChangeSet(additions=(ONE,)))
    enforcer.close(keep=keep)
    assert (gather([ONE]) if keep else ActiveSet()) == enforcer.read()


def test_it_is_always_in_sync_and_sees_no_packet(dry):
    enforcer, _now = dry
    assert enforcer.in_sync()
    assert ({}, {}) == (enforcer.counters([ONE]).traffic, enforcer.totals().traffic)
    assert Witnessed() == enforcer.witnessed()
