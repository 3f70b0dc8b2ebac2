"""Every annotated sample line decodes to what its annotation says.

A sample file alternates: a JSON object with `expect` (fields that are known, a list of them where
a line holds several records) or `reject` (the reason; `rejects` for several), then the line; `hex`
says that the line is written in hex digits.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from excise.decode.base import DecodeContext
from excise.decode.envelope import strip
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


def expected_records(annotation):
    told = annotation.get("expect", [])
    fields = told if isinstance(told, list) else [told]
    return [Record(**f | {"prompt": tuple(f.get("prompt", ()))}) for f in fields]


def expected_rejects(annotation):
    return annotation.get("rejects", [annotation["reject"]] if "reject" in annotation else [])


@pytest.mark.parametrize(
    ("name", "annotation", "line"),
    [pytest.param(*rest, id=about) for about, *rest in EVERY],
)
def test_a_sample_line_decodes_as_annotated(name, annotation, line):
    decoded = make_decoder(name, CONTEXT).decode([line])
    assert expected_records(annotation) == decoded.records
    assert expected_rejects(annotation) == [reject.reason for reject in decoded.rejects]
    assert annotation.get("unknown", 0) == decoded.unknown_fields
    assert decoded.records or decoded.rejects


@pytest.mark.parametrize("name", FORMATS)
def test_lines_together_decode_as_lines_alone(name):
    """Whatever way a batch takes, and whatever stands beside a line."""
    # A log is carried by one thing or by none: here, by none.
    timed = getattr(FORMATS[name](CONTEXT), "wants_time", False)
    lines = [strip(line, with_time=timed) for _, format_, _, line in EVERY if format_ == name]
    alone = [make_decoder(name, CONTEXT).decode([line]) for line in lines]
    for times in (1, 3, 40):
        repeated = [line for line in lines for _ in range(times)]
        together = make_decoder(name, CONTEXT).decode(repeated)
        assert [r for d in alone for _ in range(times) for r in d.records] == together.records
        assert [r for d in alone for _ in range(times) for r in d.rejects] == together.rejects


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_samples_and_is_found_by_them(name):
    lines = [line for _, format_, note, line in EVERY if format_ == name and "expect" in note]
    assert lines
    assert name == detect(lines, CONTEXT)
