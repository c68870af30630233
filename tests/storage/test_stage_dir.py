"""Copies that processes of one host share: whole, told from others, within a budget."""

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from tests.storage.staged import SIZE, downloads, expected, overwrite, reader, used_bytes
from trainer import storage
from trainer.data.records.staging import Stager
from trainer.storage import stage_dir as stage_dirs


def test_two_processes_bring_each_shard_once(emulator, shards, tmp_path):
    readers = [reader(shards, str(tmp_path), SIZE * 16, 2) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in readers]
    assert outputs == [[expected(i)[:4].hex() for i in range(8)]] * 2
    assert [process.returncode for process in readers] == [0, 0]
    assert len(downloads(emulator)) == 8


def test_a_copy_gets_its_name_while_the_directory_is_held(shards, tmp_path, monkeypatch):
    """Else another process brings it again, or meets a file that is gone when it counts them."""
    rename, held = Path.replace, []

    def replace(path, target):
        lock = stage_dirs._lock(tmp_path / ".lock", os.O_RDWR, fcntl.LOCK_EX)
        held.append(lock is None)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    stage = stage_dirs.StageDir(tmp_path, SIZE * 2)
    stage.acquire(storage.stat(shards[0]), lambda _: 0.0).release()
    assert held == [True]


def test_processes_share_a_tight_budget(shards, tmp_path):
    orders = [shards * 3, shards[::-1] * 3]
    readers = [reader(order, str(tmp_path), SIZE * 2, 2) for order in orders]
    most = 0
    while any(process.poll() is None for process in readers):
        most = max(most, used_bytes(tmp_path))
        time.sleep(0.002)
    outputs = [process.communicate()[0].split() for process in readers]
    assert outputs[0] == [expected(i)[:4].hex() for i in range(8)] * 3
    assert outputs[1] == [expected(i)[:4].hex() for i in reversed(range(8))] * 3
    assert 0 < most <= SIZE * 2


def test_a_killed_stager_leaves_whole_copies_only(emulator, shards, tmp_path):
    with emulator.proxy.faults(lambda _, path: "hang" if "train-2.tfrecord?" in path else None):
        process = reader(shards, str(tmp_path), SIZE * 16, 1)
        while not any("train-2" in path for path in downloads(emulator)) or not list(
            tmp_path.glob("*.tfrecord")
        ):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert len(list(tmp_path.glob("*.part"))) >= 1
    whole = list(tmp_path.glob("*.tfrecord"))
    assert whole
    whole[0].write_bytes(b"damaged".ljust(SIZE))
    (tmp_path / "notes.txt").write_text("not ours")
    emulator.proxy.requests = []
    with Stager(shards, tmp_path, SIZE * 16) as stager:
        for position in range(8):
            with stager.open(position) as path:
                assert path.read_bytes() == expected(position)
    assert len(downloads(emulator)) == 8 - len(whole) + 1
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "notes.txt").exists()


def test_another_content_is_another_copy(shards, tmp_path):
    with Stager(shards[:1], tmp_path, SIZE * 2) as stager, stager.open(0) as path:
        assert path.read_bytes() == expected(0)
    storage.write_bytes(shards[0], expected(5))
    with Stager(shards[:1], tmp_path, SIZE * 2) as stager, stager.open(0) as path:
        assert path.read_bytes() == expected(5)


@pytest.mark.parametrize("data", [b"another content".ljust(SIZE), b"cut", b"longer" * SIZE])
def test_a_copy_that_changes_in_its_place_between_two_uses_is_brought_again(shards, tmp_path, data):
    stage, file = stage_dirs.StageDir(tmp_path, SIZE * 9), storage.stat(shards[0])
    for use in range(6):  # brought, found, changed; and again
        lease = stage.acquire(file, lambda _: 0.0)
        assert lease.path.read_bytes() == expected(0)
        lease.release()
        if use % 2:
            overwrite(lease.path, data)


def test_a_copy_is_summed_once_a_process_as_long_as_nobody_touches_it(
    emulator, shards, tmp_path, monkeypatch
):
    stage, file = stage_dirs.StageDir(tmp_path, SIZE * 9), storage.stat(shards[0])
    stage.acquire(file, lambda _: 0.0).release()
    summed, real = [], stage_dirs.checksum.file_sum
    monkeypatch.setattr(
        stage_dirs.checksum, "file_sum", lambda path: summed.append(path) or real(path)
    )
    for _ in range(3):
        stage.acquire(file, lambda _: 0.0).release()
    assert summed == []
    other = stage_dirs.StageDir(tmp_path, SIZE * 9)  # of another process
    for _ in range(3):
        other.acquire(file, lambda _: 0.0).release()
    assert len(summed) == 1
    assert len(downloads(emulator)) == 1


def test_a_store_without_checksums_is_taken_at_its_word_but_for_the_size(tmp_path):
    url = "memory://plain/train-0.tfrecord"
    storage.write_bytes(url, expected(0))
    file = storage.stat(url)
    assert file.crc32c is None
    stage = stage_dirs.StageDir(tmp_path, SIZE * 9)
    for data in (b"cut", b"longer" * SIZE):
        lease = stage.acquire(file, lambda _: 0.0)
        assert lease.path.read_bytes() == expected(0)
        lease.release()
        overwrite(lease.path, data)
    lease = stage.acquire(file, lambda _: 0.0)
    assert lease.path.read_bytes() == expected(0)
    lease.release()


def test_room_is_made_by_what_is_wanted_last(shards, tmp_path):
    stage = storage.StageDir(tmp_path, SIZE * 3)
    files = [storage.stat(url) for url in shards]
    for file in files[:3]:
        stage.acquire(file, lambda _: 0).release()
    uses = {stage_dirs.staged_name(files[i]): use for i, use in ((0, 5), (1, 9), (2, 1))}
    stage.acquire(files[3], lambda name: uses[name]).release()
    assert [i for i in range(8) if list(tmp_path.glob(f"*train-{i}.*"))] == [0, 2, 3]


def test_no_room_is_no_lease(shards, tmp_path):
    stage = storage.StageDir(tmp_path, SIZE)
    first, second = (storage.stat(url) for url in shards[:2])
    lease = stage.acquire(first, lambda _: 0)
    assert stage.acquire(second, lambda _: 0) is None
    assert lease.path.read_bytes() == expected(0)
    assert used_bytes(tmp_path) == SIZE
    lease.release()
    stage.acquire(second, lambda _: 0).release()


def test_a_copy_under_way_holds_the_room_of_a_whole_one(shards, tmp_path, monkeypatch):
    ours, theirs = (storage.StageDir(tmp_path, SIZE * 2 - 1) for _ in range(2))
    first, second = (storage.stat(url) for url in shards[:2])
    fetch, refused = stage_dirs.transfer.fetch, []

    def meanwhile(*args, **options):
        refused.append(theirs.acquire(second, lambda _: 0))  # of another process
        return fetch(*args, **options)

    monkeypatch.setattr(stage_dirs.transfer, "fetch", meanwhile)
    ours.acquire(first, lambda _: 0).release()
    assert refused == [None]


def test_partial_copies_of_the_dead_are_swept_at_start(tmp_path):
    part = tmp_path / f"{'0' * 16}-train.tfrecord.part"
    part.write_bytes(b"x")
    storage.StageDir(tmp_path, SIZE)
    assert not part.exists()
