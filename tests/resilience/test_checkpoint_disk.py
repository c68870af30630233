"""R12: the disk is full, fails or is read-only at any place of a save."""

from pathlib import Path

import pytest

from tests.resilience.checkpoints import META, state
from trainer import checkpoint, failpoints
from trainer.checkpoint import folder as one
from trainer.exit_codes import ExitCode, RunError
from trainer.watch.watchdog import Watchdog

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
    store.save(10, state(10), META, verified=True)
    failpoints._reached.clear()
    return store


def _check_refused(store: checkpoint.Store, code: ExitCode) -> None:
    saver = checkpoint.Saver(store, Watchdog(10, 10))
    with pytest.raises(RunError) as raised:
        saver.finish(20, state(20), META, ())
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


def test_background_save_reports_at_the_next_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = checkpoint.Saver(_store(tmp_path), Watchdog(10, 10))
    monkeypatch.setenv(failpoints.VARIABLE, "checkpoint.write:eio")
    saver.start(20, state(20), META, ())
    with pytest.raises(RunError):
        saver.wait()
    saver.close()


def test_the_last_save_makes_good_for_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    saver = checkpoint.Saver(store, Watchdog(10, 10))
    monkeypatch.setenv(failpoints.VARIABLE, "checkpoint.write:eio")
    saver.start(20, state(20), META, ())
    while not saver._pending.done():
        pass
    monkeypatch.delenv(failpoints.VARIABLE)
    saver.finish(25, state(25), META, ())
    saver.close()
    assert store.newest_valid()[0] == store.folder / one.name_of(25)


def test_a_write_that_the_disk_changed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    real = one.write

    def changing(*args: object) -> Path:
        path = real(*args)
        data = bytearray((path / "state.npz").read_bytes())
        data[200] ^= 1
        (path / "state.npz").write_bytes(bytes(data))
        return path

    monkeypatch.setattr(one, "write", changing)
    with pytest.raises(RunError, match="not what was written"):
        store.save(20, state(20), META, verified=True)
