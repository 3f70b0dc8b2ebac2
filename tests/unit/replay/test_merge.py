"""Several logs as one, in the order it happened."""

import gzip
import io
import json

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from excise.decode.base import DecodeContext
from excise.decode.record import RecordDecoder
from excise.replay import merge
from excise.replay.archive import chains
from excise.replay.merge import in_time_order, order_keys
from excise.replay.reading import Reader

START = 1_750_000_000
PACK = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


def line(ts, client="203.0.113.7"):
    return json.dumps({"ts": START + ts, "client": client}).encode() + b"\n"


def write(path, stamps, client="203.0.113.7"):
    path.parent.mkdir(exist_ok=True)
    raw = b"".join(line(ts, client) for ts in stamps)
    path.write_bytes(PACK[path.suffix if path.suffix in PACK else ""](raw))


@pytest.fixture
def reader():
    context = DecodeContext((), b"")
    counted = []
    reader = Reader(lambda _: RecordDecoder(context), lambda lines, _: counted.append(len(lines)))
    return reader, counted


def merged(inputs, reader):
    """Return (seconds, client) of every record, in the order of the replay."""
    batches = in_time_order(chains(map(str, inputs)), reader)
    return [(round(r.ts - START), r.client) for batch in batches for r in batch]


def test_logs_of_several_hosts_are_merged_by_time(tmp_path, reader, monkeypatch):
    monkeypatch.setattr(merge, "SHARED_BYTES", 0)
    monkeypatch.setattr(merge, "LEAST_BYTES", 400)  # some ten lines at a time
    hosts = {f"203.0.113.{n}": range(n, 3000, 3) for n in range(3)}
    for client, stamps in hosts.items():
        write(tmp_path / client / "a.log.gz", stamps, client)

    found = merged([tmp_path], reader[0])

    assert list(range(3000)) == [ts for ts, _ in found]
    assert all(client == f"203.0.113.{ts % 3}" for ts, client in found)
    assert 3000 == sum(reader[1])  # a first look counts nothing twice


def test_parts_of_a_log_follow_each_other_and_overlap_as_they_were_written(tmp_path, reader):
    write(tmp_path / "a.log.2.zst", [1, 2, 3])
    write(tmp_path / "a.log.1.gz", [4, 5, 7])
    write(tmp_path / "a.log", [6, 8])  # workers reopen one by one

    assert [1, 2, 3, 4, 5, 7, 6, 8] == [ts for ts, _ in merged([tmp_path], reader[0])]


def test_logs_that_follow_each_other_are_read_in_time_order_whatever_their_names(tmp_path, reader):
    write(tmp_path / "z.log", range(10))
    write(tmp_path / "a.log", range(10, 20))

    inputs = [tmp_path / "a.log", tmp_path / "z.log"]
    assert list(range(20)) == [ts for ts, _ in merged(inputs, reader[0])]


def test_a_line_from_the_future_holds_nothing_up(tmp_path, reader, monkeypatch):
    monkeypatch.setattr(merge, "SHARED_BYTES", 0)
    monkeypatch.setattr(merge, "LEAST_BYTES", 400)
    far = 2_000_000_000
    odd = [*range(0, 500, 2), far, *range(500, 1000, 2)]
    write(tmp_path / "a.log", odd)
    write(tmp_path / "b.log", range(1, 1000, 2))

    found = [ts for ts, _ in merged([tmp_path], reader[0])]

    assert far in found[490:510]
    assert list(range(1000)) == [ts for ts in found if ts != far]


def test_standard_input_is_merged_with_the_others(tmp_path, reader, monkeypatch):
    write(tmp_path / "a.log", [1, 3, 5])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line(2) + line(4))))

    assert [1, 2, 3, 4, 5] == [ts for ts, _ in merged(["-", tmp_path / "a.log"], reader[0])]


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0, 1e9))
def test_keys_never_fall_within_a_chunk_nor_below_what_came_before(stamps, carry):
    keys, newest = order_keys(stamps, carry)

    assert sorted(keys) == keys
    assert len(stamps) == len(keys)
    assert carry <= min(keys)
    assert carry <= newest <= max(keys)


def test_a_pause_in_a_quiet_log_is_believed_once_its_lines_agree():
    keys, newest = order_keys([1, 2, 90_000, 90_001, 90_002, 90_003], 0.0)

    assert [1, 2, 90_000, 90_001, 90_002, 90_003] == keys[:2] + keys[2:]
    assert 90_000 == newest
