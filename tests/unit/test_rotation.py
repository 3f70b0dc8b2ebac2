"""Names of rotated logs: whose they are, and which is older."""

import pytest

from excise.rotation import logs_among, parse_name, rotated_names


@pytest.mark.parametrize(
    ("name", "base", "rotated", "packed"),
    [
        ("access.log", "access.log", False, False),
        ("access.log.1", "access.log", True, False),
        ("access.log.2.gz", "access.log", True, True),
        ("access.log.12.zst", "access.log", True, True),
        ("access.log-20260101", "access.log", True, False),
        ("access.log-20260101-1767225600.gz", "access.log", True, True),
        ("access.log.2026-01-01", "access.log", True, False),
        ("access.1.log", "access.log", True, False),
        ("access-20260101.log.gz", "access.log", True, True),
        ("access-2026-01-02T03-04-05.000.log", "access.log", True, False),
        ("0.log.20260101-120000", "0.log", True, False),
        ("access.log.gz", "access.log", True, True),
        ("host1.log", "host1.log", False, False),
        ("excise-443.log", "excise-443.log", False, False),
        ("20260101.log", "20260101.log", False, False),
    ],
)
def test_a_name_tells_its_log_and_whether_it_is_written(name, base, rotated, packed):
    parsed = parse_name(name)

    assert (base, rotated, packed) == (parsed.base, parsed.rotated, parsed.packed)


def test_siblings_come_oldest_first_whatever_the_order_of_the_directory():
    names = [
        "a.log",
        "a.log.1",
        "a.log.10.gz",
        "a.log.2.gz",
        "a.log-20260102",
        "a.log-20260101.zst",
        "b.log.1",
    ]

    assert [
        "a.log-20260101.zst",
        "a.log-20260102",
        "a.log.10.gz",
        "a.log.2.gz",
        "a.log.1",
    ] == rotated_names(names, "a.log")


def test_a_file_that_is_just_being_compressed_counts_once_and_plain():
    assert ["a.log.1"] == rotated_names(["a.log.1.gz", "a.log.1"], "a.log")
    assert ["a.log.1"] == rotated_names(["a.log.1", "a.log.1.gz"], "a.log")


@pytest.mark.parametrize(
    ("names", "known", "logs"),
    [
        (["a.log", "b.log", "a.log.1", "a.log.2.gz", "b.log.1.xz"], [], ["a.log", "b.log"]),
        (["a.log", "a-20260101.log"], [], ["a.log"]),
        (["a-20260101.log", "a-20260102.log"], [], ["a-20260101.log", "a-20260102.log"]),
        (["a-20260101.log"], ["a.log"], []),
        (["a.log.1"], [], []),
    ],
)
def test_the_logs_of_a_directory_are_those_that_are_written(names, known, logs):
    assert logs == logs_among(names, known)
