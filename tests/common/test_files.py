"""A file appears whole or not at all, and a failure leaves what was there."""

import errno
import os
from pathlib import Path

import pytest

from common import files


def test_what_was_there_stays_until_the_whole_is_written(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    files.write_text(path, "old")
    with files.replaced(path) as partial:
        partial.write_text("ne")
        assert path.read_text() == "old"
        partial.write_text("new")
    assert path.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["config.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    files.write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), files.replaced(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["config.json"]


def test_the_error_of_the_disk_is_the_one_that_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        files.write_text(tmp_path / "missing" / "a", "x")


@pytest.mark.parametrize("durable", [False, True])
def test_a_durable_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    path, synced = tmp_path / "summary.json", []

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").read_text())
        assert not path.exists()

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_text(path, "whole", durable=durable)
    assert synced == ["whole"] * durable
    assert path.read_text() == "whole"


def test_a_disk_that_cannot_sync_gives_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        files.write_text(tmp_path / "a", "x", durable=True)
    assert list(tmp_path.iterdir()) == []


def test_several_writers_write_to_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with (
        files.replaced(path, contended=True) as first,
        files.replaced(path, contended=True) as second,
    ):
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [path]


def test_one_writer_overwrites_what_a_kill_left(tmp_path: Path) -> None:
    path = tmp_path / "goodput.json"
    for _ in range(2):
        with files.replaced(path) as partial:
            partial.write_text("x")
        partial.write_text("left by a kill")
    files.write_text(path, "x")
    assert list(tmp_path.iterdir()) == [path]
