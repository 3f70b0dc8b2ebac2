"""What a target names: a network in canonical form, or an account."""

import pytest

from excise.api.target import canonical_target, check_action, parse_network, require_network
from excise.errors import InvalidError
from excise.model.decision import Action


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8::/48", "2001:db8::/48"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("acct-9", None),
        ("12345", None),
        ("203.0.113.256", None),
        ("203.0.113.0/33", None),
        ("", None),
    ],
)
def test_a_network_has_one_form_and_all_else_is_none(text, expected):
    assert expected == parse_network(text)


def test_an_account_is_kept_as_it_is():
    assert "Acct 9/x" == canonical_target("Acct 9/x")


def test_where_a_network_is_needed_an_account_is_refused():
    with pytest.raises(InvalidError, match="not an address"):
        require_network("acct-9")


@pytest.mark.parametrize(
    ("target", "action"),
    [
        ("203.0.113.7/32", Action.DROP),
        ("203.0.113.7/32", Action.THROTTLE),
        ("acct-9", Action.DENY),
        ("acct-9", Action.THROTTLE),
        ("acct-9", Action.OBSERVE),
    ],
)
def test_an_action_of_the_targets_plane_passes(target, action):
    check_action(target, action)


@pytest.mark.parametrize(
    ("target", "action"), [("203.0.113.7/32", Action.DENY), ("acct-9", Action.DROP)]
)
def test_an_action_of_the_other_plane_is_refused(target, action):
    with pytest.raises(InvalidError, match="use d"):
        check_action(target, action)
