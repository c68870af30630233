"""R2: SIGTERM and SIGINT at any time; nothing is lost, and the code is 143."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.harness import STEPS, Worker, finish, logged_steps, must_fail, run, saved_steps
from tests.processes import free_ports


def _check_stopped(workdir: Path, failpoint: str, *args: str, **options: str) -> int:
    """Stop a run; return the step that was saved."""
    before = saved_steps(workdir)
    worker = run(workdir, *args, failpoint=failpoint, **options)
    assert worker.wait() == 143, worker.output
    assert worker.last_line.startswith("stopped (143): "), worker.output
    if "nothing to save" in worker.last_line:
        assert saved_steps(workdir) == before
        return 0
    step = int(re.search(r"after step (\d+)", worker.last_line)[1])
    assert saved_steps(workdir)[-1] == step
    return step


def test_chain_of_signals_loses_nothing(tmp_path: Path, undisturbed: Path, digest: str) -> None:
    workdir, steps = tmp_path / "run", [0]
    for moment in ("strategy.before:term", "loop.edge:term@2", "evaluate.edge:term@2",
                   "checkpoint.before_commit:term", "loop.before_last_save:term"):  # fmt: skip
        if moment.startswith("loop.before_last_save"):
            # Every step is made: there is nothing to stop any more.
            assert finish(workdir, failpoint=moment) == digest
            continue
        step = _check_stopped(workdir, moment)
        assert step >= steps[-1]
        steps.append(step)
    assert steps[-1] > steps[2] > 0
    assert saved_steps(workdir)[-1] == STEPS
    for prefix in ("train/", "eval/"):
        assert logged_steps(workdir, prefix) == logged_steps(undisturbed, prefix)


def test_a_second_signal_does_not_lose_the_save(tmp_path: Path, digest: str) -> None:
    workdir = tmp_path / "run"
    worker = Worker(workdir, "--config.train_steps=100000", "--config.eval_every_steps=100000")
    worker.wait_for("step 5/")
    sent = time.monotonic()
    worker.send(signal.SIGINT)
    while worker.process.poll() is None and time.monotonic() - sent < 30:
        worker.send(signal.SIGTERM)
        time.sleep(0.002)
    # The bar is 30 s in all; on two quiet cores it takes about two.
    assert time.monotonic() - sent < 15
    assert worker.wait() == 143, worker.output
    # However late a signal comes, nothing follows the line that ends the run.
    step = int(re.search(r"^stopped \(143\): .* after step (\d+)", worker.last_line)[1])
    assert saved_steps(workdir)[-1] == step


def test_signal_while_the_step_is_traced(tmp_path: Path, digest: str) -> None:
    args = ("--config.task.name=tests.chaos.signalled:Signalled",
            f"--config.task.args.marker={tmp_path / 'sent'}")  # fmt: skip
    assert _check_stopped(tmp_path / "run", "", *args) == 1
    assert finish(tmp_path / "run", *args) == digest


def test_signal_while_peers_are_awaited(tmp_path: Path) -> None:
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    worker = Worker(tmp_path / "run", cluster=cluster)
    worker.wait_for("waiting for worker 1 of 2")
    worker.send(signal.SIGTERM)
    assert worker.wait(5) == 143
    assert worker.last_line.startswith("stopped (143): SIGTERM before training began")


def test_sabotage_swallowed_signal_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_stopped(tmp_path / "run", "loop.edge:term", sabotage="swallows_signals")


@pytest.mark.slow
def test_sabotage_forgotten_save_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_stopped(tmp_path / "run", "loop.edge:term@3", sabotage="forgets_the_stop_save")


@pytest.mark.slow
@pytest.mark.parametrize("edge", [1, 2, 3, 4, 5, 8, 10, 12, 14, 15, 16, 17, 18, 19, 20, 21])
def test_signal_at_every_edge(tmp_path: Path, digest: str, edge: int) -> None:
    workdir = tmp_path / "run"
    worker = run(workdir, failpoint=f"loop.edge:term@{edge}")
    assert worker.wait() in (143, 0), worker.output
    assert finish(workdir) == digest


@pytest.mark.slow
@pytest.mark.parametrize("step", [STEPS - 2, STEPS - 1, STEPS])
def test_signal_in_the_last_steps(tmp_path: Path, digest: str, step: int) -> None:
    workdir, log = tmp_path / "run", "--config.log_every_steps=1"
    # With a line a step, every step ends at an edge; the first edge is before the first step.
    worker = run(workdir, log, failpoint=f"loop.edge:term@{step + 1}")
    assert worker.wait() in (143, 0), worker.output
    # The thread that takes signals may be a step late.
    assert step <= saved_steps(workdir)[-1] <= min(step + 1, STEPS)
    assert finish(workdir, log) == digest
