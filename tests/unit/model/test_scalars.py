"""Readers of single values: what they take, and what they say to the rest."""

from enum import StrEnum

import pytest

from excise.errors import InvalidError
from excise.model.document import Fields, in_order
from excise.model.scalars import (
    between,
    boolean,
    byte_rate,
    choice,
    duration,
    duration_or_zero,
    integer,
    network,
    number,
    per_minute,
    text,
    texts,
)
from excise.yamlread import read_yaml


class Colour(StrEnum):
    RED = "red"


def node(written):
    return read_yaml(f"key: {written}\n", "f.yaml").root().seek(["key"])


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (text, "' word '", "word"),
        (boolean, "true", True),
        (number, "5", 5.0),
        (number, "2.5e3", 2500.0),
        (integer, "20_000", 20_000),
        (between(1, 5, integer), "5", 5),
        (duration, "100ms", 0.1),
        (duration, "1h30m", 5400.0),
        (duration_or_zero, "0s", 0.0),
        (choice(Colour), "red", Colour.RED),
        (network, "192.0.2.7", "192.0.2.7/32"),
        (network, "'2001:DB8::'", "2001:db8::/128"),
        (network, "192.0.2.0/24", "192.0.2.0/24"),
        (byte_rate, "50 KiB/s", 51_200),
        (byte_rate, "1.5MB/s", 1_500_000),
        (per_minute, "6/min", 6.0),
        (per_minute, "2 / s", 120.0),
        (per_minute, "30/h", 0.5),
        (texts, "[a, b]", ("a", "b")),
    ],
)
def test_what_is_meant_is_understood(read, written, value):
    assert value == read(node(written))


@pytest.mark.parametrize(
    ("read", "written", "says"),
    [
        (text, "5", "key must be text, found 5 (put it in quotes)"),
        (text, "", "key must be text, found nothing"),
        (text, "''", "key must not be empty"),
        (boolean, "yes", "key must be true or false, found 'yes'"),
        (number, "true", "key must be a number, found true"),
        (number, "1e400", "key must be a finite number"),
        (integer, "1.5", "key must be a whole number, found 1.5"),
        (between(1, 5, integer), "6", "key is out of range: 6 (from 1 to 5)"),
        (duration, "0s", "key is wrong: duration '0s' is out of range"),
        (duration, "12", "key must be a duration, found 12"),
        (duration, "12 parsecs", "key is wrong: '12 parsecs' is not a duration"),
        (choice(Colour), "rde", "unknown value of key: 'rde' (did you mean 'red'?)"),
        (network, "192.0.2.7/24", "bits beyond its prefix (the network is 192.0.2.0/24)"),
        (network, "localhost", "key holds 'localhost', no address or CIDR"),
        (byte_rate, "50", "key must be a rate of bytes, found 50 (like 50 KiB/s)"),
        (byte_rate, "50 KB/s", "key must be a rate of bytes"),
        (per_minute, "6", "key must be a rate of events, found 6 (like 6/min)"),
        (per_minute, "0/min", "key must be a rate of events"),
        (texts, "a", "key must be a list, found 'a'"),
    ],
)
def test_anything_else_is_refused_in_the_file_s_own_words(read, written, says):
    with pytest.raises(InvalidError) as caught:
        read(node(written))

    assert says in str(caught.value)
    assert str(caught.value).startswith("f.yaml:1:")


def test_problems_gather_in_the_order_of_the_file():
    root = read_yaml("b: x\nzz: 1\na: y\n", "f.yaml").root()
    fields = Fields(root, ("a", "b", "c"))
    values = (
        fields.get("a", number, 1.0),
        fields.get("b", number, 2.0),
        fields.need("c", text, ""),
    )

    assert (1.0, 2.0, "") == values
    assert ["1:1", "1:4", "2:1", "3:4"] == [
        f"{p.mark.line}:{p.mark.column}" for p in in_order(root.problems)
    ]


def test_a_list_keeps_what_can_be_read_and_reports_the_rest():
    at = node("[a, 5, b]")

    assert ("a", "b") == texts(at)
    assert ["f.yaml:1:10"] == [str(problem.mark) for problem in at.problems]
