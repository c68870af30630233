"""Shards are brought ahead of their readers, in the order of reading, within a budget."""

import errno
import os
import random
import threading
import time
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from tests.storage.staged import SIZE, downloads, expected, used_bytes
from trainer import storage
from trainer.data.records.staging import Stager
from trainer.storage import stage_dir as stage_dirs


@pytest.mark.parametrize("num_fit", [1, 2, 3, 8])
def test_shards_come_in_order_within_the_budget(emulator, shards, tmp_path, num_fit):
    order = [random.Random(7).randrange(8) for _ in range(40)]
    budget = SIZE * num_fit
    with Stager([shards[i] for i in order], tmp_path, budget) as stager:
        for position, i in enumerate(order):
            with stager.open(position) as path:
                assert path.read_bytes() == expected(i)
                assert used_bytes(tmp_path) <= budget
    if num_fit == 8:
        assert len(downloads(emulator)) == len(set(order))


def test_shards_are_brought_ahead(shards, tmp_path):
    with Stager(shards, tmp_path, SIZE * 3) as stager:
        deadline = time.monotonic() + 10
        ahead = "*train-[012].tfrecord"
        while len(list(tmp_path.glob(ahead))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(list(tmp_path.glob(ahead))) == 3
        with stager.open(0) as path:
            assert path.exists()


def test_a_shard_in_use_is_never_evicted(shards, tmp_path):
    with Stager(shards, tmp_path, SIZE * 2) as stager, stager.open(0) as first:
        for position in range(1, 8):
            with stager.open(position) as path:
                assert path.read_bytes() == expected(position)
                assert first.read_bytes() == expected(0)


def test_what_is_wanted_soonest_stays(emulator, shards, tmp_path):
    order = [0, 1, 2, 0, 1, 3, 0]
    with Stager([shards[i] for i in order], tmp_path, SIZE * 3, num_threads=1) as stager:
        for position, i in enumerate(order):
            with stager.open(position) as path:
                assert path.read_bytes() == expected(i)
    # The best that any policy can do here: each shard once.
    assert len(downloads(emulator)) == 4


def test_a_shard_larger_than_the_share_is_refused(shards, tmp_path):
    with pytest.raises(
        RunError, match=rf"{SIZE} bytes.*--stage_bytes to at least {SIZE}"
    ) as caught:
        Stager(shards, tmp_path, SIZE - 1)
    assert caught.value.code is ExitCode.BAD_CONFIG
    with pytest.raises(RunError, match=f"at least {SIZE * 2}"):
        Stager(shards, tmp_path, SIZE, num_sharers=2)


def test_more_open_shards_than_fit_are_refused(shards, tmp_path):
    with (
        Stager(shards, tmp_path, SIZE) as stager,
        stager.open(0),
        pytest.raises(RunError, match="2 shards open at once"),
        stager.open(1),
    ):
        pass


def test_readers_in_parallel(shards, tmp_path):
    wrong = []
    with Stager(shards * 3, tmp_path, SIZE * 5) as stager:

        def read(first: int) -> None:
            for position in range(first, 24, 3):
                with stager.open(position) as path:
                    wrong.extend([position] * (path.read_bytes() != expected(position % 8)))

        threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert wrong == []


def test_faults_of_the_store_are_survived(emulator, shards, tmp_path):
    rng = random.Random(3)
    plan = lambda *_: rng.choice([429, 503, "reset", "cut"]) if rng.random() < 0.3 else None  # noqa: E731
    retry = storage.Retry(sleep=lambda _: None)
    with emulator.proxy.faults(plan), Stager(shards, tmp_path, SIZE * 3, retry=retry) as stager:
        for position in range(8):
            with stager.open(position) as path:
                assert path.read_bytes() == expected(position)


def test_a_missing_shard_fails_the_reader(emulator, shards, tmp_path):
    with emulator.proxy.faults(lambda _, path: 404 if "train-3" in path else None):  # noqa: SIM117
        with Stager(shards, tmp_path, SIZE * 2) as stager:
            with pytest.raises(RunError, match=r"train-3\.tfrecord.*404") as caught:
                for position in range(8):
                    with stager.open(position):
                        pass
    assert caught.value.code is ExitCode.BAD_DATA


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EPERM, errno.EIO, errno.ESTALE]
)
def test_local_disk_faults_name_the_flag(shards, tmp_path, monkeypatch, code, at):
    plan = iter([None] * at + [code] * 99)
    target = (stage_dirs.os, "posix_fallocate") if at % 2 else (Path, "replace")
    real = getattr(*target)

    def faulty(*args):
        if fault := next(plan):
            raise OSError(fault, os.strerror(fault))
        return real(*args)

    monkeypatch.setattr(*target, faulty)
    with Stager(shards, tmp_path, SIZE * 2) as stager:  # noqa: SIM117
        with pytest.raises(RunError, match="--stage_dir") as caught:
            for position in range(8):
                with stager.open(position):
                    pass
    lasts = code not in (errno.EIO, errno.ESTALE)
    assert caught.value.code is (ExitCode.BAD_CONFIG if lasts else ExitCode.TRANSIENT)
    assert not list(tmp_path.glob("*.part"))


def test_a_stage_dir_that_cannot_be_made_is_refused(shards, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="--stage_dir") as caught:
        Stager(shards, tmp_path / "file" / "stage", SIZE)
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_a_closed_stager_leaves_no_threads(shards, tmp_path):
    with Stager(shards, tmp_path, SIZE * 2) as stager, stager.open(0):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stager")]


def test_a_shard_with_two_readers_stays_for_the_second(shards, tmp_path):
    with Stager([shards[0], *shards], tmp_path, SIZE * 2) as stager, stager.open(0) as path:
        with stager.open(1) as same:
            assert same == path
        for position in range(2, 9):
            with stager.open(position):
                assert path.read_bytes() == expected(0)
