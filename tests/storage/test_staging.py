import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.data.records.staging import Stager
from trainer.storage import stage_dir as stage_dirs

SIZE = 10_000
ROOT = Path(__file__).parents[2]
READER = """
import json, sys, time
from pathlib import Path
from trainer.data.records.staging import Stager
urls, stage_dir, budget, num_sharers = json.loads(sys.argv[1])
with Stager(urls, Path(stage_dir), budget, num_sharers=num_sharers) as stager:
    for position in range(len(urls)):
        with stager.open(position) as path:
            print(path.read_bytes()[:4].hex(), flush=True)
            time.sleep(0.01)
"""


def reader(*plan: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", READER, json.dumps(plan)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def shards(bucket):
    urls = [f"{bucket}/train-{i}.tfrecord" for i in range(8)]
    for i, url in enumerate(urls):
        storage.write_bytes(url, random.Random(i).randbytes(SIZE))
    storage.list_files(f"{bucket}/*")
    return urls


def expected(i: int) -> bytes:
    return random.Random(i).randbytes(SIZE)


def downloads(emulator) -> list[str]:
    return [path for method, path, _ in emulator.proxy.requests if "alt=media" in path]


def used_bytes(stage: Path) -> int:
    total = 0
    for path in stage.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


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


def overwrite(path, data):
    """Change a copy in its place, as a program that writes to it would."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**7))  # whatever the disk's clock
    assert path.stat().st_ino == before.st_ino


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
