"""R22: fifty restarts and five hundred saves leave nothing behind and take no more memory."""

import itertools
import statistics
import time
from pathlib import Path

import pytest

from tests.chaos.harness import ENDLESS, Worker, ended, must_fail, processes_of, saved_steps

_GROWTH = 1.05


def _status(worker: Worker, name: str) -> int:
    """Return a number of /proc/PID/status; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _peak_memory(worker: Worker) -> int:
    """Wait for the end; return the most memory seen, KiB."""
    peak = 0
    while worker.process.poll() is None:
        peak = max(peak, _status(worker, "VmHWM"))
        time.sleep(0.02)
    return peak


def _check_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: int, **options: str
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    workdir, peaks = tmp_path / "run", []
    for action, code in itertools.islice(itertools.cycle([("kill", 137), ("term", 143)]), restarts):
        failpoint = f"loop.boundary:{action}@8"
        with ended(Worker(workdir, *ENDLESS, failpoint=failpoint, **options)) as worker:
            peaks.append(_peak_memory(worker))
        assert worker.wait() == code, worker.output
    assert statistics.median(peaks[-8:]) < _GROWTH * statistics.median(peaks[:4])
    assert len(saved_steps(workdir)) <= 4
    assert not [p for p in (workdir / "checkpoints").iterdir() if not p.name.startswith("step_")]
    kept = [p for p in (tmp_path / "tmp").rglob("*") if p.is_file()]
    assert len(kept) == 2, kept  # the indexes of the two shards, for the next start
    assert processes_of(workdir) == []
    print(f"steps {saved_steps(workdir)}, peak KiB {peaks[0]} to {peaks[-1]}")


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("restarts", [8, 50])
def test_restarts_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: int
) -> None:
    _check_restarts(tmp_path, monkeypatch, restarts)


@pytest.mark.slow
def test_sabotage_a_run_that_keeps_every_checkpoint_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with must_fail():
        _check_restarts(tmp_path, monkeypatch, 6, sabotage="never_prunes")


def _check_saves(workdir: Path, **options: str) -> None:
    args = ("--config.train_steps=700", "--config.checkpoint_every_steps=1",
            "--config.log_every_steps=100", "--config.eval_every_steps=700")  # fmt: skip
    with ended(Worker(workdir, *args, **options)) as worker:
        seen = []
        for step in (100, 200, 600):
            worker.wait_for(f"step {step}/")
            seen.append((_status(worker, "VmRSS"), _status(worker, "Threads")))
        assert worker.wait() == 0, worker.output
    _, (early, threads), (late, threads_later) = seen
    assert late < _GROWTH * early, seen
    assert threads_later <= threads, seen
    print(f"KiB and threads after 100, 200 and 600 saves: {seen}")


@pytest.mark.slow
def test_five_hundred_saves_take_no_more_memory(tmp_path: Path) -> None:
    _check_saves(tmp_path / "run")


@pytest.mark.slow
def test_sabotage_a_save_that_keeps_memory_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_saves(tmp_path / "run", sabotage="keeps_memory")
