"""R12: a disk that is full, fails or is read-only, while the run logs, saves and ends."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.harness import Worker, finish, must_fail, run, saved_steps
from trainer import failpoints
from trainer.checkpoint import folder as one

_BYTES = 4 << 20
_SAVES = 10
_OFFSETS = 20
_CODES = {"enospc": 78, "erofs": 78, "eio": 200}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(path: Path) -> None:
    """Take every byte that is left."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _check_full(worker: Worker, workdir: Path, before: list[int]) -> None:
    assert worker.wait() == 78, worker.output
    assert "No space left on device" in worker.last_line
    assert "Traceback" not in worker.output
    for step in before:
        assert one.damage(workdir / "checkpoints" / one.name_of(step)) is None


def test_a_full_disk_loses_nothing(small_disk: Path, tmp_path: Path, digest: str) -> None:
    workdir = tmp_path / "run"  # the log of the process lies next to it, on another disk
    (small_disk / "run").mkdir()
    workdir.symlink_to(small_disk / "run")
    stopped = run(workdir, failpoint="loop.boundary:term@14")
    assert stopped.wait() == 143, stopped.output
    before = saved_steps(workdir)
    _fill(small_disk / "filler")
    _check_full(run(workdir), workdir, before)
    (small_disk / "filler").unlink()
    assert finish(workdir) == digest
    assert not list((workdir / "checkpoints").glob(".*"))


@pytest.fixture(scope="session")
def writes(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often a save writes to its files."""
    newest = max((undisturbed / "checkpoints").glob("step_*"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(failpoints.VARIABLE, "checkpoint.write:stop@1000000")
        failpoints._reached.clear()
        one.write(tmp_path_factory.mktemp("written"), *one.read(newest))
    return failpoints._reached["checkpoint.write"]


def _check_refused(workdir: Path, digest: str, error: str, write: int, **options: str) -> None:
    failed = run(workdir, failpoint=f"checkpoint.write:{error}@{write}", **options)
    assert failed.wait() == _CODES[error], failed.output
    assert not (workdir / "summary.json").exists()
    assert "Traceback" not in failed.output
    for step in saved_steps(workdir):
        assert one.damage(workdir / "checkpoints" / one.name_of(step)) is None
    assert finish(workdir) == digest
    assert not list((workdir / "checkpoints").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("place", range(_OFFSETS))
def test_a_disk_that_refuses_from_some_write_on(
    tmp_path: Path, digest: str, writes: int, place: int
) -> None:
    """The last three places are in the last save."""
    error = list(_CODES)[place % 3]
    total = writes * _SAVES
    last = [total - writes + 1, total - writes // 2, total]
    spread = range(1, total - writes, (total - writes) // (_OFFSETS - len(last)))
    _check_refused(tmp_path / "run", digest, error, [*spread[:17], *last][place])


@pytest.mark.slow
def test_sabotage_a_failed_save_that_is_hidden_is_caught(
    tmp_path: Path, digest: str, writes: int
) -> None:
    with must_fail():
        _check_refused(
            tmp_path / "run", digest, "enospc", writes * _SAVES, sabotage="hides_a_failed_save"
        )
