"""Which checkpoints are kept, what is refused, and what 500 saves leave behind."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from tests.checkpoint.checkpoints import meta, state
from trainer import checkpoint
from trainer.checkpoint import folder as one


def _steps(store: checkpoint.Store) -> list[int]:
    return sorted(one.step_of(p.name) for p in store.folder.iterdir())


def test_newest_and_named_steps_are_kept(tmp_path: Path) -> None:
    store = checkpoint.Store(tmp_path, keep=2)
    for step in range(1, 8):
        store.save(state(step), meta(step), verified=False, also_keep=[2, 3])
    assert _steps(store) == [2, 3, 6, 7]


def test_a_copy_of_the_users_is_no_checkpoint(tmp_path: Path) -> None:
    store = checkpoint.Store(tmp_path, keep=1)
    (tmp_path / "step_000000001_backup").mkdir()
    assert store.newest_valid() == (None, [])
    for step in (1, 2):
        store.save(state(step), meta(step), verified=False)
    assert (tmp_path / "step_000000001_backup").exists()


def test_the_save_of_now_stays_although_a_later_step_lies_there(tmp_path: Path) -> None:
    store = checkpoint.Store(tmp_path, keep=1)
    for step in (9, 3):
        store.save(state(step), meta(step), verified=False)
    assert _steps(store) == [3, 9]


def test_steps_sort_as_numbers(tmp_path: Path) -> None:
    store = checkpoint.Store(tmp_path, keep=5)
    for step in (999_999_999, 1_000_000_000):
        store.save(state(1), meta(step), verified=False)
    assert store.newest_valid()[0] == tmp_path / "step_1000000000"


def test_what_may_be_spoiled_is_set_aside_and_not_gone_back_to(tmp_path: Path) -> None:
    store = checkpoint.Store(tmp_path, keep=9)
    for step in (4, 8, 12):
        store.save(state(step), meta(step), verified=False)
    store.distrust(after=4)
    assert [path.name for path in tmp_path.glob("step_*")] == [one.name_of(4)]
    assert store.newest_valid()[0] == tmp_path / one.name_of(4)
    assert len(list(tmp_path.glob("damaged_step_*"))) == 2
    assert store.whole() == {4: tmp_path / one.name_of(4)}


def test_leftovers_are_swept(tmp_path: Path) -> None:
    store = checkpoint.Store(tmp_path)
    (tmp_path / f"{one.PARTIAL}{one.name_of(3)}").mkdir()
    store.sweep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype"])
def test_mismatch_names_the_key(change: str) -> None:
    found, key = state(1), "main/001/dense/bias"
    expected = state(1)
    if change == "missing":
        del found[key]
    elif change == "extra":
        del expected[key]
    elif change == "shape":
        found[key] = np.zeros(11, np.float32)
    else:
        found[key] = found[key].astype(np.float64)
    with pytest.raises(RunError, match=key) as raised:
        checkpoint.match(found, expected, "step")
    assert raised.value.code is ExitCode.BAD_CONFIG
    differ = {
        "missing": "is not in the checkpoint",
        "extra": "is in the checkpoint and not in the model",
        "shape": "is float32[11] there and float32[10] here",
        "dtype": "is float64[10] there and float32[10] here",
    }
    assert f"{key} {differ[change]};" in raised.value.reason


def test_a_meta_comes_back_to_the_bit() -> None:
    progress = {"best": 0.1 + 0.2, "totals": {"loss": float("inf")}, "train": {"loss": 1e-45}}
    written = checkpoint.Meta(7, {"seed": 3}, "fingerprint", progress, seconds=1.5)
    found = checkpoint.Meta.from_json(written.to_json())
    assert (found, found.seconds) == (written, 1.5)
    assert found == dataclasses.replace(found, seconds=2.5), "two saves of one state are alike"
    assert checkpoint.Meta.from_json('{"step": 7}') == checkpoint.Meta(7)


def test_equal_states_match() -> None:
    checkpoint.match(state(1), state(1), "step")


def test_digest_sees_every_bit_name_and_step() -> None:
    reference = checkpoint.digest(state(1), 1)
    changed = state(1)
    changed["main/001/dense/bias"][3] = np.nextafter(changed["main/001/dense/bias"][3], 9)
    renamed = {name.replace("bias", "base"): value for name, value in state(1).items()}
    others = [checkpoint.digest(*pair) for pair in ((changed, 1), (renamed, 1), (state(1), 2))]
    assert reference not in others
    assert reference == checkpoint.digest(state(1), 1)


def test_sabotage_a_store_that_keeps_everything_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint.Store, "_prune", lambda *_: None)
    with pytest.raises(AssertionError):
        test_saves_leave_nothing_behind(tmp_path, 20)


@pytest.mark.parametrize("saves", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_saves_leave_nothing_behind(tmp_path: Path, saves: int) -> None:
    store = checkpoint.Store(tmp_path, keep=3)
    store.save(state(0), meta(0), verified=False)
    size = sum(p.stat().st_size for p in tmp_path.rglob("*"))
    threads = threading.active_count()
    largest = 0
    for step in range(1, saves):
        store.save(state(step), meta(step), verified=False)
        largest = max(largest, sum(p.stat().st_size for p in tmp_path.rglob("*") if p.exists()))
    assert largest <= 4.2 * size
    assert len(_steps(store)) == 3
    assert threading.active_count() == threads
