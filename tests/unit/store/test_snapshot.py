import pytest

from excise.errors import StoreError
from excise.store.snapshot import Snapshot, read_snapshot, write_snapshot

TAKEN = Snapshot(
    clock=100.0, wall=200.0, cursors={"file:a": '{"offset":9}'}, blob=b"\x00state" * 99
)


def test_what_was_written_is_read(tmp_path):
    write_snapshot(tmp_path / "engine.snapshot", TAKEN)

    assert read_snapshot(tmp_path / "engine.snapshot") == TAKEN
    assert [tmp_path / "engine.snapshot"] == list(tmp_path.iterdir())


def test_no_snapshot_is_none(tmp_path):
    assert read_snapshot(tmp_path / "engine.snapshot") is None


@pytest.mark.parametrize("cut", [0, 5, 20, 60, 300])
def test_a_torn_snapshot_is_an_error(tmp_path, cut):
    path = tmp_path / "engine.snapshot"
    write_snapshot(path, TAKEN)
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(StoreError, match="damaged"):
        read_snapshot(path)


def test_a_flipped_bit_is_an_error(tmp_path):
    path = tmp_path / "engine.snapshot"
    write_snapshot(path, TAKEN)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)

    with pytest.raises(StoreError, match="checksum"):
        read_snapshot(path)


def test_a_failed_write_leaves_the_old_snapshot(tmp_path):
    path = tmp_path / "engine.snapshot"
    write_snapshot(path, TAKEN)
    path.with_name("engine.snapshot.tmp").mkdir()

    with pytest.raises(StoreError, match="cannot write"):
        write_snapshot(path, TAKEN)

    assert read_snapshot(path) == TAKEN
