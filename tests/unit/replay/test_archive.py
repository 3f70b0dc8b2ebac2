"""What a replay reads, and what continues what."""

import pytest

from excise.errors import SourceError
from excise.replay.archive import chains


def names(found):
    return [[file.rpartition("/")[2] for file in chain.files] for chain in found]


def test_the_parts_of_a_log_are_one_chain_whatever_their_order(tmp_path):
    files = [str(tmp_path / name) for name in ("a.log", "a.log.1", "a.log.10.gz", "a.log.2.zst")]

    assert [["a.log.10.gz", "a.log.2.zst", "a.log.1", "a.log"]] == names(chains(files))


def test_logs_of_other_names_or_directories_are_chains_of_their_own(tmp_path):
    files = [f"{tmp_path}/x/a.log", f"{tmp_path}/y/a.log", f"{tmp_path}/x/b.log", "-"]

    assert [["a.log"], ["a.log"], ["b.log"], ["-"]] == names(chains(files))


def test_a_directory_is_all_logs_below_it(tmp_path):
    for name in ("h1/a.log.1.gz", "h1/a.log", "h2/a.log-20260101", "h2/.hidden", "z.ndjson"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = sorted(names(chains([str(tmp_path)])))

    assert [["a.log-20260101"], ["a.log.1.gz", "a.log"], ["z.ndjson"]] == found


def test_a_directory_without_logs_or_with_unreadable_archives_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="there are no files in it"):
        chains([str(tmp_path)])
    (tmp_path / "a.log.xz").touch()
    with pytest.raises(SourceError, match=r"a.log.xz cannot be read: .*gzip or zstd"):
        chains([str(tmp_path)])
