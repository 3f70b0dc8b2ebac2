"""A table of autonomous systems is read whole, or its first wrong line is named."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

from excise.config import Config, with_asns
from excise.config.asns import parse_asns, read_asns
from excise.daemon.reload import in_force, load_all
from excise.errors import ConfigError

GOOD = (
    b"192.0.2.0\t192.0.2.127\t64496\tZZ\tEXAMPLE-A, with a comma\n"
    b"192.0.2.128\t192.0.2.255\t0\tNone\tNot routed\n"
    b"2001:db8::\t2001:db8:0:ffff:ffff:ffff:ffff:ffff\t64497\tZZ\tEXAMPLE-B\r\n"
    b"198.51.100.0\t198.51.100.255\t64498\n"
    b"\n# a comment\n"
)
NETWORKS = np.array(
    [0xC0000201, 0xC0000280, 0x20010DB8_00000001, 0x20010DB8_00010000, 0xC6336407],
    dtype=np.uint64,
)
VERSIONS = np.array([4, 4, 6, 6, 4])
SYSTEMS = [64496, 0, 64497, 0, 64498]


def test_a_table_is_what_its_lines_say_in_any_order():
    table = parse_asns(GOOD.splitlines(keepends=True), "t.tsv")

    assert SYSTEMS == table.lookup(NETWORKS, VERSIONS).tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"192.0.3.0\t192.0.3.255\n", "no range with a number"),
        (b"192.0.3.0 192.0.3.255 64496\n", "no range with a number"),
        (b"192.0.3\t192.0.3.255\t64496\n", "no range with a number"),
        (b"192.0.3.0\t192.0.3.255\tAS64496\n", "no range with a number"),
        (b"192.0.3.\xff\t192.0.3.255\t64496\n", "no range with a number"),
        (b"192.0.3.255\t192.0.3.0\t64496\n", "ends before it begins"),
        (b"192.0.3.0\t2001:db8::\t64496\n", "ends before it begins"),
        (b"192.0.3.0\t192.0.3.255\t-1\n", "of no system"),
        (b"192.0.2.9\t192.0.2.20\t64496\n", "overlaps another range"),
    ],
)
def test_a_wrong_line_is_named(line, message):
    lines = [*GOOD.splitlines(keepends=True), line]

    with pytest.raises(ConfigError, match=message) as caught:
        parse_asns(lines, "t.tsv")
    assert ("t.tsv", len(lines)) == (caught.value.mark.file, caught.value.mark.line)


def test_packed_tables_are_read_and_missing_ones_are_an_error(tmp_path):
    packed, torn = tmp_path / "t.tsv.gz", tmp_path / "torn.tsv.gz"
    packed.write_bytes(gzip.compress(GOOD))
    torn.write_bytes(packed.read_bytes()[:40])

    assert SYSTEMS == read_asns(packed).lookup(NETWORKS, VERSIONS).tolist()
    for path in (torn, tmp_path / "none.tsv", tmp_path):
        with pytest.raises(ConfigError, match=r"asn_table: .* cannot be read"):
            read_asns(path)


def test_a_reload_takes_a_changed_table_up_without_a_restart(tmp_path):
    table, file = tmp_path / "t.tsv", tmp_path / "excise.yaml"
    file.write_text(f"asn_table: {table}\n")
    table.write_bytes(GOOD)
    before, _ = load_all(file)
    table.write_bytes(b"192.0.2.0\t192.0.2.255\t64511\n")
    after, _ = load_all(file)
    config, restart = in_force(before.config, after.config)

    assert () == restart
    assert [64511] == config.settings().asns.lookup(NETWORKS[:1], VERSIONS[:1]).tolist()


def test_a_reload_with_a_broken_table_is_refused_with_the_line(tmp_path):
    table, file = tmp_path / "t.tsv", tmp_path / "excise.yaml"
    file.write_text(f"asn_table: {table}\n")
    table.write_bytes(GOOD + b"oops\n")
    loaded, errors = load_all(file)

    assert loaded is None
    assert errors[0].startswith(f"{table}:7:1: is no range with a number")


def test_without_a_table_no_system_is_known():
    assert with_asns(replace(Config(), asn_table=None)).settings().asns is None
