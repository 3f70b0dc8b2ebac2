"""All checks together."""

from pathlib import Path

from excise.doctor import Sight, examine
from excise.doctor.services import Places
from excise.doctor.survey import Survey


def test_everything_is_looked_at_even_if_the_configuration_is_broken(tmp_path):
    config = tmp_path / "excise.yaml"
    config.write_text("postur: observe\n")
    sight = Sight(list, list, Places(tmp_path / "no", tmp_path, tmp_path), survey=Survey)
    names = [check.name for check in examine(config, sight).checks]
    assert [
        "configuration",
        "rules",
        "listeners",
        "running",
        "input",
        "state directory",
        "kernel",
        "clock",
        "nftables",
        "own table",
        "other firewalls",
        "network devices",
    ] == names


def test_every_input_is_sampled(tmp_path):
    config, log = tmp_path / "excise.yaml", tmp_path / "a.log"
    log.write_text('{"ts": 1767571200, "client": "203.0.113.7"}\n' * 3)
    rules = Path(__file__).parents[3] / "rules"
    config.write_text(f"inputs: [{{file: {log}}}, {{stdin: true}}]\nrules: [{rules}]\n")
    sight = Sight(list, list, Places(tmp_path / "no", tmp_path, tmp_path), survey=Survey)
    found = examine(config, sight)
    assert [(str(log), 3), ("stdin", 0)] == [(s.name, len(s.records)) for s in found.samples]
    names = [check.name for check in found.checks]
    assert [2, 1] == [names.count("sample"), names.count("fields")]
    assert names.count("blind") > 1
