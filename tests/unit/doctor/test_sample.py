"""What the daemon's decoder makes of an input's last lines."""

import json

import pytest

from excise.config import Config, InputConfig, SocketConfig, Wire
from excise.doctor.sample import Sampler

COMBINED = '203.0.113.7 - - [05/Jan/2026:00:00:0{} +0000] "POST /v1/x HTTP/1.1" 200 9 "-" "c/1"\n'
RECORD = json.dumps({"ts": 1_767_571_200, "client": "203.0.113.7", "output_tokens": 9}) + "\n"


@pytest.fixture
def sampled():
    return lambda one: Sampler(Config()).sample(one)


def test_lines_become_records_and_counted_rejects(tmp_path, sampled):
    log = tmp_path / "a.log"
    log.write_text(RECORD * 3 + "\n{}\nnonsense\n" + RECORD[:20])
    found = sampled(InputConfig(log, "record"))
    assert (("record",), 5, 3, 2) == (
        found.formats, found.lines, len(found.records), found.rejects.total()
    )  # fmt: skip
    assert 0.6 == found.share


def test_auto_recognises_the_format(tmp_path, sampled):
    log = tmp_path / "a.log"
    log.write_text("".join(COMBINED.format(n) for n in range(9)))
    found = sampled(InputConfig(log))
    assert ("auto", "nginx", 9) == (found.configured, found.format, len(found.records))


def test_each_file_of_a_pattern_has_its_own_format_and_rotated_ones_are_left_out(tmp_path, sampled):
    (tmp_path / "a.log").write_text(COMBINED.format(1))
    (tmp_path / "b.log").write_text(RECORD * 2)
    (tmp_path / "b.log.1").write_text(RECORD * 9)
    found = sampled(InputConfig(tmp_path / "*.log*"))
    assert (("record", "nginx"), 3, 2) == (found.formats, len(found.records), found.files)


def test_an_input_is_looked_at_within_bounds(tmp_path, sampled):
    log = tmp_path / "a.log"
    log.write_text(RECORD * 40_000)
    found = sampled(InputConfig(log, "record"))
    assert (1 << 20) // len(RECORD) == len(found.records) == found.lines


@pytest.mark.parametrize(
    "one",
    [
        InputConfig(),
        InputConfig(format="record", http=True),
        InputConfig(socket=SocketConfig(Wire.UDP, syslog=True, address=("127.0.0.1", 5514))),
    ],
    ids=["stdin", "http", "syslog"],
)
def test_what_only_comes_once_is_left_alone(sampled, one):
    found = sampled(one)
    assert (0, True) == (found.lines, "only be seen when they come" in found.problem)


def test_a_missing_log_is_a_problem_and_an_empty_one_is_none(tmp_path, sampled):
    log = tmp_path / "a.log"
    assert "No such file" in sampled(InputConfig(log)).problem
    log.touch()
    assert ("", 0) == (sampled(InputConfig(log)).problem, sampled(InputConfig(log)).lines)
