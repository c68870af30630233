"""R5: a blocked input, evaluation, save or start ends with 202 and the stacks of all threads."""

import time
from pathlib import Path

import pytest

from tests.chaos.harness import ENDLESS, Worker, ended, must_fail, processes_of, run

# Long enough for the first call of a loaded machine, which has to come before the hang.
DEADLINE = 15
SAVE_DEADLINE = 30  # in every fast run, beside other tests
STARTUP_DEADLINE = 25


def _check_hang(workdir: Path, failpoint: str, phase: str, *args: str, **options: str) -> None:
    deadline = {"start": STARTUP_DEADLINE, "save": SAVE_DEADLINE}.get(phase, DEADLINE)
    # A start that is not to hang has the deadline of any run: a loaded machine is slow to import.
    flag = "--startup_deadline_secs" if phase == "start" else "--hang_deadline_secs"
    flags = (f"{flag}={deadline}",)
    with ended(Worker(workdir, *flags, *args, failpoint=failpoint, **options)) as worker:
        if phase == "start":
            while not (workdir / "config.json").exists():  # the last thing before the failpoint
                assert worker.process.poll() is None, worker.output
                time.sleep(0.02)
        else:
            worker.wait_for("step 5/" if phase != "step" else "step 100/")
        assert worker.wait(deadline + 5) == 202, worker.output
        assert not processes_of(workdir)
    assert f"hang (202): phase '{phase}' took more than" in worker.last_line
    assert "failpoints.py" in worker.output


def test_blocked_save(tmp_path: Path) -> None:
    _check_hang(tmp_path / "run", "checkpoint.before_rename:hang", "save")


@pytest.mark.slow
def test_blocked_input(tmp_path: Path) -> None:
    streamed = (*ENDLESS, "--config.dataset.serve=stream")
    _check_hang(tmp_path / "run", "data.read:hang@2", "step", *streamed)


@pytest.mark.slow
def test_blocked_evaluation(tmp_path: Path) -> None:
    _check_hang(tmp_path / "run", "evaluate.boundary:hang", "evaluate")


@pytest.mark.slow
def test_blocked_start(tmp_path: Path) -> None:
    _check_hang(tmp_path / "run", "strategy.before:hang", "start")


@pytest.mark.slow
def test_sabotage_watchdog_that_never_barks_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_hang(tmp_path / "run", "evaluate.boundary:hang", "evaluate", sabotage="never_barks")


def test_signal_in_a_hang_before_training(tmp_path: Path) -> None:
    assert run(tmp_path / "run", failpoint="strategy.before:term").wait() == 143
