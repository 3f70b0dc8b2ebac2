"""All checks together."""

from excise.doctor import Sight, examine
from excise.doctor.services import Places


def test_everything_is_looked_at_even_if_the_configuration_is_broken(tmp_path):
    config = tmp_path / "excise.yaml"
    config.write_text("postur: observe\n")
    sight = Sight(list, list, Places(tmp_path / "no", tmp_path, tmp_path))
    names = [check.name for check in examine(config, sight)]
    assert [
        "configuration",
        "rules",
        "input",
        "state directory",
        "kernel",
        "clock",
        "nftables",
        "own table",
        "other firewalls",
        "network devices",
    ] == names
