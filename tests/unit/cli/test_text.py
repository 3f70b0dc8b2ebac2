import json

import pytest

from excise.cli.text import json_text, printable

#: ESC, a C1 control (CSI), DEL, a line separator, a bidirectional override, one past 16 bits
UNSAFE = ["\x1b[2J", "\x9b2J", "\x7f", "\u2028", "\u202e", "\U000e0001", "\n\r\t\0"]


@pytest.mark.parametrize("text", UNSAFE)
def test_what_a_person_reads_holds_no_control_character(text):
    assert printable(f"a{text}b").isprintable()


@pytest.mark.parametrize("text", [*UNSAFE, "plain", "Zoë 東京 🜁"])
def test_json_is_printable_and_means_the_same(text):
    raw = json.dumps({"name": text}, ensure_ascii=False).encode()

    safe = json_text(raw)

    assert safe.isprintable()
    assert {"name": text} == json.loads(safe)
