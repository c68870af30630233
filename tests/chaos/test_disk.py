"""R12: a disk that is really full, while the run logs, saves and ends."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.harness import Worker, finish, run, saved_steps
from trainer.checkpoint import folder as one

_BYTES = 4 << 20


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
    stopped = run(workdir, failpoint="loop.edge:term@14")
    assert stopped.wait() == 143, stopped.output
    before = saved_steps(workdir)
    _fill(small_disk / "filler")
    _check_full(run(workdir), workdir, before)
    (small_disk / "filler").unlink()
    assert finish(workdir) == digest
    assert not list((workdir / "checkpoints").glob(".*"))
