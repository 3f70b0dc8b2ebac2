from dataclasses import replace

import pytest

from excise.config import Config
from excise.daemon import reload
from excise.daemon.reload import in_force, load_all, load_or_raise
from excise.errors import InvalidError
from excise.host import Places
from excise.model.decision import Posture
from excise.model.portguard import PortGuard
from excise.model.settings import DEFAULT_TIERS, Policy, Trials


@pytest.mark.parametrize(
    "changed",
    [
        {"posture": Posture.ENFORCE},
        {"never_block": ("192.0.2.0/24",)},
        {"trusted_proxies": ("192.0.2.0/24",)},
        {"ports": (8443,)},
        {"tiers": DEFAULT_TIERS[:1]},
        {"policy": Policy(drop=90.0)},
        {"protect_operator": False},
        {"trials": Trials(enabled=True)},
        {"guard": PortGuard((8000,))},
    ],
)
def test_what_can_change_at_once_does(changed):
    config, restart = in_force(Config(), replace(Config(), **changed))

    assert restart == ()
    assert {key: getattr(config, key) for key in changed} == changed


def test_what_takes_a_restart_is_named_and_stays(tmp_path):
    old = Config()
    new = replace(old, state=tmp_path, inputs=(), ports=(8443,))

    config, restart = in_force(old, new)

    assert restart == ("inputs", "state")
    assert (config.state, config.inputs, config.ports) == (old.state, old.inputs, (8443,))


def test_where_the_file_came_from_is_no_change(tmp_path):
    assert in_force(Config(), replace(Config(), path=tmp_path, notes=("x",)))[1] == ()


def test_a_configuration_that_cannot_be_read_says_everything_that_is_wrong(tmp_path):
    path = tmp_path / "excise.yaml"
    path.write_text("postur: observe\nports: 443\n")

    loaded, errors = load_all(path)

    assert loaded is None
    assert len(errors) == 2
    with pytest.raises(InvalidError, match="1 more"):
        load_or_raise(path)


def test_a_guard_never_shuts_the_port_by_which_the_operator_comes(tmp_path, monkeypatch):
    (tmp_path / "sshd_config").write_text("Port 2222\n")
    monkeypatch.setattr(reload, "Places", lambda: Places(sshd_config=tmp_path / "sshd_config"))
    (tmp_path / "excise.yaml").write_text("guard: {ports: [8000, 2222]}\n")

    loaded, errors = load_all(tmp_path / "excise.yaml")

    assert loaded is None
    assert errors == ("guard: 2222 is a port of this host's sshd; take it out of ports",)


def test_a_broken_rule_refuses_the_whole_set(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/odd.yaml").write_text("id: odd\n")
    (tmp_path / "excise.yaml").write_text(f"rules: [{tmp_path / 'rules'}]\n")

    loaded, errors = load_all(tmp_path / "excise.yaml")

    assert loaded is None
    assert "odd.yaml" in errors[0]
