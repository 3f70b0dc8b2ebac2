"""Sets and the rules that refer to them."""

from excise.doctor import Sight, State, examine
from excise.doctor.services import Places
from excise.doctor.sets import check_sets
from excise.enforce.ipset_layout import SetSpec, standing
from excise.enforce.ipset_wire import Header
from excise.errors import PrivilegeError
from excise.model.decision import Posture
from excise.model.settings import DEFAULT_TIERS


def headers_of(specs, references=1, entries=0):
    return {s: Header(s.name, s.kind, entries, references, 65_536) for s in specs}


def sets_of(held, posture=Posture.ENFORCE):
    return {check.name: check for check in check_sets(posture, DEFAULT_TIERS, lambda: held)}


def test_sets_that_all_have_rules_are_fine():
    checks = sets_of(headers_of(standing(DEFAULT_TIERS)))
    assert [State.OK, State.OK] == [check.state for check in checks.values()]
    assert "answers; 69 sets are excise's" == checks["ipset"].text


def test_sets_without_a_rule_enforce_nothing_and_that_fails():
    some = headers_of([s for s in standing(DEFAULT_TIERS) if s.name == "excise4-block"], 0)
    check = sets_of(headers_of(standing(DEFAULT_TIERS)) | some)["iptables rules"]
    assert (State.FAIL, "no rule refers to excise4-block: they enforce nothing") == (
        check.state,
        check.text,
    )
    assert "excise doctor --iptables" in check.advice


def test_sets_that_are_not_there_fail():
    check = sets_of({})["iptables rules"]
    assert (State.FAIL, "69 sets are not there yet, such as excise-ports") == (
        check.state,
        check.text,
    )


def test_a_host_without_ipv6_needs_no_rules_for_it_until_something_is_held():
    sixes = [s for s in standing(DEFAULT_TIERS) if s.version == 6]
    held = headers_of(standing(DEFAULT_TIERS)) | headers_of(sixes, references=0)
    assert State.OK is sets_of(held)["iptables rules"].state
    busy = headers_of([SetSpec(6, "block")], references=0, entries=3)
    assert State.FAIL is sets_of(held | busy)["iptables rules"].state


def test_a_set_left_of_a_rate_that_is_no_tiers_any_more_is_told():
    old = headers_of([SetSpec(4, "egr", 7_777)], references=0, entries=1)
    text = sets_of(headers_of(standing(DEFAULT_TIERS)) | old)["iptables rules"].text
    assert text.startswith("no rule refers to excise4-egr-7777")


def test_without_the_privilege_ipset_fails():
    def refuse():
        raise PrivilegeError("operation not permitted")

    (check,) = check_sets(Posture.ENFORCE, DEFAULT_TIERS, refuse)
    assert (State.FAIL, "operation not permitted") == (check.state, check.text)


def test_while_observing_no_rule_is_needed_yet():
    assert State.WARN is sets_of({}, Posture.OBSERVE)["iptables rules"].state


def test_ipset_is_looked_at_where_it_is_used(tmp_path):
    config = tmp_path / "excise.yaml"
    config.write_text("enforcer: ipset\n")
    sight = Sight(list, list, Places(tmp_path / "no", tmp_path, tmp_path), dict)
    names = [check.name for check in examine(config, sight).checks]
    assert {"ipset", "iptables rules"} <= set(names)
