"""R10: the newest checkpoint damaged twelve ways."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from tests.checkpoint.checkpoints import meta, state
from trainer import checkpoint
from trainer.checkpoint import folder as one


def _flip(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 0x10
    path.write_bytes(bytes(data))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _commit_anew(path: Path) -> None:
    names = ("state.npz", "meta.json")
    marker = {n: one._identity(path / n) for n in names}
    (path / one.MARKER).write_text(json.dumps(marker))


def _pickled(path: Path) -> None:
    np.savez(path / "state.npz", kernel=np.array([{"a": 1}], dtype=object))
    _commit_anew(path)


def _of_another_step(path: Path) -> None:
    (path / "meta.json").write_text(meta(7).to_json())
    _commit_anew(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no marker": lambda p: (p / one.MARKER).unlink(),
    "empty marker": lambda p: (p / one.MARKER).write_text(""),
    "marker is a list": lambda p: (p / one.MARKER).write_text("[]"),
    "marker names too little": lambda p: (p / one.MARKER).write_text("{}"),
    "no state": lambda p: (p / "state.npz").unlink(),
    "empty state": lambda p: (p / "state.npz").write_bytes(b""),
    "cut state": lambda p: _cut(p / "state.npz"),
    "bit flipped early": lambda p: _flip(p / "state.npz", 0.1),
    "bit flipped late": lambda p: _flip(p / "state.npz", 0.9),
    "no meta": lambda p: (p / "meta.json").unlink(),
    "meta of another step": _of_another_step,
    "pickled state": _pickled,
    "state is a folder": lambda p: ((p / "state.npz").unlink(), (p / "state.npz").mkdir()),
    "empty folder": lambda p: (shutil.rmtree(p), p.mkdir()),
}


@pytest.fixture
def store(tmp_path: Path) -> checkpoint.Store:
    store = checkpoint.Store(tmp_path / "checkpoints", keep=3)
    for step in (10, 20, 30):
        store.save(state(step), meta(step), verified=True)
    return store


def _contents(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _check_fallback(store: checkpoint.Store, damage: Callable[[Path], object]) -> None:
    damage(store.folder / one.name_of(30))
    before = _contents(store.folder)
    path, skipped = store.newest_valid()
    assert path is not None
    assert path.name == one.name_of(20)
    assert len(skipped) == 1
    assert skipped[0].startswith(f"{one.name_of(30)}: ")
    assert checkpoint.digest(checkpoint.read(path)[0], 20) == checkpoint.digest(state(20), 20)
    assert _contents(store.folder) == before


@pytest.mark.parametrize("name", DAMAGES)
def test_newest_valid_is_used_and_the_rest_named(store: checkpoint.Store, name: str) -> None:
    _check_fallback(store, DAMAGES[name])


@pytest.mark.parametrize("name", ["no marker", "bit flipped early"])
def test_sabotage_a_reader_that_trusts_is_caught(
    store: checkpoint.Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "damage", lambda _: None)
    with pytest.raises(AssertionError):
        _check_fallback(store, DAMAGES[name])


def test_all_damaged_is_65_and_untouched(store: checkpoint.Store) -> None:
    for step, name in zip((10, 20, 30), ("cut state", "no marker", "no meta"), strict=True):
        DAMAGES[name](store.folder / one.name_of(step))
    before = _contents(store.folder)
    with pytest.raises(RunError) as raised:
        store.newest_valid()
    assert raised.value.code is ExitCode.BAD_DATA
    assert all(one.name_of(step) in raised.value.reason for step in (10, 20, 30))
    assert _contents(store.folder) == before


def test_a_damaged_checkpoint_is_set_aside_not_overwritten(store: checkpoint.Store) -> None:
    damaged = []
    for _ in range(3):  # a bad disk may damage one step again and again
        _flip(store.folder / one.name_of(30) / "state.npz", 0.5)
        damaged.append((store.folder / one.name_of(30) / "state.npz").read_bytes())
        store.newest_valid()
        store.sweep()
        store.save(state(30), meta(30), verified=True)
    for name, expected in zip(("", "_2", "_3"), damaged, strict=True):
        kept = store.folder / f"damaged_{one.name_of(30)}{name}" / "state.npz"
        assert kept.read_bytes() == expected
    assert store.newest_valid() == (store.folder / one.name_of(30), [])
