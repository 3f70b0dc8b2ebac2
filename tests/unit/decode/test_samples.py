"""Every annotated sample line decodes to what its annotation says.

A sample file alternates: a JSON object with `expect` (fields that are known) or `reject` (the
reason), then the line; `hex` says that the line is written in hex digits.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from excise.decode.base import DecodeContext
from excise.decode.registry import FORMATS, detect, make_decoder
from excise.decode.trust import parse_networks
from excise.model.record import Record

SAMPLES = Path(__file__).parents[2] / "samples"
CONTEXT = DecodeContext(trusted=parse_networks(["198.51.100.0/24"]), account_key=b"sample")


def read_samples():
    for path in sorted(SAMPLES.glob("*.log")):
        lines = path.read_bytes().splitlines()
        for number, (note, line) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            annotation = json.loads(note)
            raw = bytes.fromhex(line.decode()) if annotation.get("hex") else line
            about = annotation.get("about") or annotation.get("reject") or "complete"
            yield f"{path.stem}:{2 * number + 1} {about}", path.stem, annotation, raw


EVERY = list(read_samples())


def expected_record(fields):
    if "prompt" in fields:
        fields = fields | {"prompt": tuple(fields["prompt"])}
    return Record(**fields)


@pytest.mark.parametrize(
    ("name", "annotation", "line"),
    [pytest.param(*rest, id=about) for about, *rest in EVERY],
)
def test_a_sample_line_decodes_as_annotated(name, annotation, line):
    decoded = make_decoder(name, CONTEXT).decode([line])
    if "expect" in annotation:
        assert [expected_record(annotation["expect"])] == decoded.records
        assert [] == decoded.rejects
        assert annotation.get("unknown", 0) == decoded.unknown_fields
    else:
        assert [annotation["reject"]] == [reject.reason for reject in decoded.rejects]
        assert [] == decoded.records
        assert line.startswith(decoded.rejects[0].sample)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_samples_and_is_found_by_them(name):
    lines = [line for _, format_, note, line in EVERY if format_ == name and "expect" in note]
    assert lines
    assert name == detect(lines, CONTEXT)
