"""What a save and a restore ask of the disk, call by call: what outlives a loss of power."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.exit_codes import ExitCode, RunError
from tests.checkpoint.checkpoints import changed_by_the_disk, meta, state
from trainer import checkpoint, storage
from trainer.checkpoint import folder as one
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig
from trainer.monitoring.goodput import Ledger
from trainer.monitoring.phases import Phases
from trainer.monitoring.watchdog import Watchdog
from trainer.plan import Plan
from trainer.run.checkpoints import Checkpoints
from trainer.run.request import Request
from trainer.run.state import RunState


class Disk:
    """Notes what is put on disk and what is renamed, and what the disk held at that moment."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.calls: list[tuple[str, ...]] = []
        self.synced: dict[str, str] = {}
        monkeypatch.setattr(os, "fsync", self._sync(os.fsync))
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, self._rename(getattr(os, name)))

    def _sync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(handle: int) -> None:
            path = Path(f"/proc/self/fd/{handle}").readlink()
            real(handle)
            if path.is_dir():
                self.calls.append(
                    ("sync", self.name(path), *sorted(p.name for p in path.iterdir()))
                )
            else:
                self.calls.append(("sync", self.name(path)))
                self.synced[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()

        return fsync

    def _rename(self, real: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def rename(source: str, target: str) -> None:
            real(source, target)
            self.calls.append(("rename", self.name(source), self.name(target)))

        return rename

    def name(self, path: os.PathLike[str] | str) -> str:
        """Return a path below the root."""
        return Path(path).relative_to(self.root).as_posix()


STEP = one.name_of(20)
PART = f"{one.PARTIAL}{STEP}"
NEW = [
    ("sync", f"{PART}/state.npz"),
    ("sync", f"{PART}/meta.json"),
    ("sync", f"{PART}/COMMIT"),
    ("sync", PART, "COMMIT", "meta.json", "state.npz"),
]


def test_a_save_is_on_disk_before_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files, then the marker, then their names, then the folder's, then that name."""
    disk = Disk(tmp_path, monkeypatch)
    path = one.write(tmp_path, state(20), meta(20))
    assert disk.calls == [*NEW, ("rename", PART, STEP), ("sync", ".", STEP)]
    # What was put on disk is all of it: nothing was written to a file afterwards.
    assert disk.synced == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.iterdir()
    }


def test_the_marker_is_not_begun_before_the_files_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, found = Disk(tmp_path, monkeypatch), []
    real = Path.open

    def opened(path: Path, *args: object, **options: object) -> object:
        if path.name == one.MARKER and not path.exists():
            found.extend(disk.calls)
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", opened)
    one.write(tmp_path, state(20), meta(20))
    assert found == NEW[:2]


def test_a_save_over_another_one_takes_it_away_only_when_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.write(tmp_path, state(1), meta(20))
    disk = Disk(tmp_path, monkeypatch)
    one.write(tmp_path, state(20), meta(20))
    aside = f"{PART}_removed"
    assert disk.calls == [
        *NEW, ("rename", STEP, aside), ("rename", PART, STEP), ("sync", ".", STEP)
    ]  # fmt: skip


def test_a_file_that_was_brought_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_bytes("memory://durable/state.npz", b"of a checkpoint")
    disk = Disk(tmp_path, monkeypatch)
    storage.download("memory://durable/state.npz", tmp_path / "state.npz")
    (sync, part), (rename, source, target) = disk.calls
    assert (sync, rename, source, target) == ("sync", "rename", part, "state.npz")


class Saves:
    """The saves of a run that stands at step 20 and has not saved yet."""

    def __init__(self, folder: Path) -> None:
        phases = Phases(Watchdog(10, 10), Ledger())
        config = TrainConfig(train_steps=100, checkpoint_every_steps=10)
        info = SimpleNamespace(fingerprint=str, contents=dict)
        request = Request(config, info, Plan(100, 1000, 32, 4, 10), Placement())
        self.saver = checkpoint.Saver(checkpoint.Store(folder), phases.watchdog)
        self._checkpoints = Checkpoints(request, self.saver, phases)
        self._run = SimpleNamespace(read_state=lambda: state(20)), RunState(step=20)

    def in_background(self) -> None:
        self._checkpoints.save_if_due(*self._run, by_time=False)
        self.saver.wait()

    def last(self) -> None:
        self._checkpoints.save_last(*self._run)


def test_the_last_save_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the same step was saved in the background, which was not read back."""
    real = one.write
    saves = Saves(tmp_path)
    monkeypatch.setattr(one, "write", changed_by_the_disk(real))
    saves.in_background()
    assert one.damage(tmp_path / STEP) == "state.npz is not what was committed"
    with pytest.raises(RunError, match=r"not what was written: state\.npz") as raised:
        saves.last()
    assert raised.value.code is ExitCode.TRANSIENT
    monkeypatch.setattr(one, "write", real)
    saves.last()
    assert one.damage(tmp_path / STEP) is None
    saves.saver.close()


def test_the_last_save_is_there_when_the_call_returns(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    saves.last()
    assert one.damage(tmp_path / STEP) is None
    saves.saver.close()
