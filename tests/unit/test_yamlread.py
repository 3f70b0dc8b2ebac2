"""Reading YAML: plain data, its places, and errors that name file, line and column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.errors import InvalidError, Mark
from excise.yamlread import MAX_DEPTH, read_yaml, read_yaml_file


def error_of(text: str) -> str:
    with pytest.raises(InvalidError) as caught:
        read_yaml(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("20_000", 20_000),
        ("-3", -3),
        ("0.5", 0.5),
        ("2e3", 2000.0),
        ("9" * 30, float("9" * 30)),
        ("true", True),
        ("~", None),
        ("null", None),
        ("'5'", "5"),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("0x1F", "0x1F"),
    ],
)
def test_scalars_follow_yaml_1_2_so_that_no_word_turns_into_something_else(written, value):
    assert {"key": value} == read_yaml(f"key: {written}", "f.yaml").data


def test_every_value_and_key_has_its_place():
    document = read_yaml("a:\n  - {b: 1}\n  - c\n", "f.yaml")

    assert Mark("f.yaml", 2, 9) == document.marks["a", 0, "b"]
    assert Mark("f.yaml", 2, 6) == document.keys["a", 0, "b"]
    assert Mark("f.yaml", 3, 5) == document.marks["a", 1]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: key 'a' is given twice (first at f.yaml:1:1)"),
        ("a: [1,\n", "f.yaml:2:1: not valid YAML: "),
        ("a: b: c\n", "f.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        ("\ta: 1\n", "f.yaml:1:1: not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: not valid YAML: "),
        ("a: &x 1\n", "f.yaml:1:4: not valid YAML: anchors and aliases"),
        ("a: *x\n", "f.yaml:1:4: not valid YAML: anchors and aliases"),
        ("a: !!python/object:os.system ls\n", "f.yaml:1:4: not valid YAML: tags"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key must be text"),
        ("a: 1\nb: \x01\n", "f.yaml:2:4: holds a character"),
        ("[" * 5000, f"f.yaml:1:{MAX_DEPTH + 1}: not valid YAML: nested too deeply"),
    ],
)
def test_a_broken_text_is_refused_where_it_breaks(text, start):
    assert error_of(text).startswith(start)


def test_an_empty_file_is_an_empty_mapping():
    assert {} == read_yaml("# nothing\n", "f.yaml").data


def test_a_file_that_is_not_utf_8_is_refused_at_the_byte(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")

    with pytest.raises(InvalidError, match=r":2:4: is not UTF-8 text"):
        read_yaml_file(path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(InvalidError, match=r"none\.yaml:1:1: cannot be read: No such file"):
        read_yaml_file(tmp_path / "none.yaml")


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@` \n\t0.,?\x00é", max_size=60))
def test_whatever_the_text_it_is_read_or_refused(text):
    places = []
    try:
        places += read_yaml(text, "f.yaml").marks.values()
    except InvalidError as error:
        places.append(error.mark)

    assert all(place.line >= 1 and place.column >= 1 for place in places)
