"""R12: the disk is full, fails or is read-only at any place of a save."""

import errno
import os
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.checkpoint.checkpoints import changed_by_the_disk, meta, state
from trainer import checkpoint, failpoints
from trainer.checkpoint import folder as one
from trainer.monitoring.watchdog import Watchdog

CODES = {
    "enospc": ExitCode.BAD_CONFIG,
    "erofs": ExitCode.BAD_CONFIG,
    "eio": ExitCode.TRANSIENT,
}
PLACES = [f"checkpoint.write:{{}}@{n}" for n in range(1, 19)]
PLACES += ["checkpoint.before_commit:{}", "checkpoint.before_rename:{}"]


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    failpoints._reached.clear()


def _store(tmp_path: Path) -> checkpoint.Store:
    store = checkpoint.Store(tmp_path / "checkpoints", keep=3)
    store.save(state(10), meta(10), verified=True)
    failpoints._reached.clear()
    return store


def _check_refused(store: checkpoint.Store, code: ExitCode) -> None:
    saver = checkpoint.Saver(store, Watchdog(10, 10))
    with pytest.raises(RunError) as raised:
        saver.finish(state(20), meta(20), ())
    saver.close()
    assert raised.value.code is code
    assert store.newest_valid() == (store.folder / one.name_of(10), [])
    assert [p.name for p in store.folder.iterdir()] == [one.name_of(10)]


@pytest.mark.parametrize("action", CODES)
@pytest.mark.parametrize("place", PLACES)
def test_last_save_fails_loudly_and_the_previous_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, action: str
) -> None:
    store = _store(tmp_path)
    monkeypatch.setenv(failpoints.VARIABLE, place.format(action))
    _check_refused(store, CODES[action])


REFUSALS = ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EEXIST", "ENOTDIR", "EISDIR",
            "ENAMETOOLONG", "ELOOP"]  # fmt: skip
FAULTS = ["EIO", "ESTALE", "ETIMEDOUT", "ENODEV", "ENXIO"]
CALLS = [(os, "mkdir"), (os, "fsync"), (os, "rename"), (Path, "open")]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[1])
@pytest.mark.parametrize("name", [*REFUSALS, *FAULTS])
def test_what_the_disk_refuses_is_not_tried_again_and_a_fault_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: tuple[object, str]
) -> None:
    """A quota, a permission, a file where a folder should be: a restart would fail alike."""
    store, number = _store(tmp_path), getattr(errno, name)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    saver = checkpoint.Saver(store, Watchdog(10, 10))
    with monkeypatch.context() as disk, pytest.raises(RunError) as raised:
        disk.setattr(*call, refuse)
        saver.finish(state(20), meta(20), ())
    saver.close()
    assert raised.value.code is (ExitCode.TRANSIENT if name in FAULTS else ExitCode.BAD_CONFIG)
    assert os.strerror(number) in raised.value.reason
    assert "--workdir" in raised.value.reason
    assert store.newest_valid() == (store.folder / one.name_of(10), [])


def test_a_file_in_the_place_of_the_folder_is_a_mistake_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("not a folder")
    with pytest.raises(RunError, match="--workdir") as raised:
        checkpoint.Store(tmp_path / "checkpoints").save(state(10), meta(10), verified=True)
    assert raised.value.code is ExitCode.BAD_CONFIG


def test_sabotage_a_save_that_hides_its_error_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    monkeypatch.setenv(failpoints.VARIABLE, "checkpoint.write:enospc@3")
    real = store.save

    def hiding(*args: object, **options: object) -> None:
        try:
            real(*args, **options)
        except RunError:
            return

    monkeypatch.setattr(store, "save", hiding)
    with pytest.raises(pytest.fail.Exception):
        _check_refused(store, ExitCode.BAD_CONFIG)


def test_background_save_reports_at_the_next_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = checkpoint.Saver(_store(tmp_path), Watchdog(10, 10))
    monkeypatch.setenv(failpoints.VARIABLE, "checkpoint.write:eio")
    saver.start(state(20), meta(20), ())
    with pytest.raises(RunError):
        saver.wait()
    saver.close()


def test_the_last_save_makes_good_for_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    saver = checkpoint.Saver(store, Watchdog(10, 10))
    monkeypatch.setenv(failpoints.VARIABLE, "checkpoint.write:eio")
    saver.start(state(20), meta(20), ())
    while not saver._pending.done():
        pass
    monkeypatch.delenv(failpoints.VARIABLE)
    saver.finish(state(25), meta(25), ())
    saver.close()
    assert store.newest_valid()[0] == store.folder / one.name_of(25)


def test_a_write_that_the_disk_changed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    monkeypatch.setattr(one, "write", changed_by_the_disk(one.write))
    with pytest.raises(RunError, match="not what was written"):
        store.save(state(20), meta(20), verified=True)
