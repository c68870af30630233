"""R2: SIGTERM and SIGINT at any time; nothing is lost, and the code is 143."""

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.harness import (
    ENDLESS,
    LONG,
    LONG_STEPS,
    STEPS,
    Worker,
    ended,
    finish,
    logged_steps,
    metric_lines,
    must_fail,
    run,
    saved_steps,
)
from tests.processes import free_ports

CALL_SECS = 2
"""Length of a call of the inner loop that is aimed at; a signal acts at its end."""


def _check_kept(worker: Worker, workdir: Path, before: list[int]) -> int:
    """Check how a stopped process ended; return the step that it saved, 0 where there was none."""
    assert worker.wait() == 143, worker.output
    if not worker.output:
        assert saved_steps(workdir) == before  # the interpreter itself was not up yet
        return 0
    assert worker.last_line.startswith("stopped (143): "), worker.output
    if "nothing to save" in worker.last_line:
        assert saved_steps(workdir) == before
        return 0
    step = int(re.search(r"after step (\d+)", worker.last_line)[1])
    assert saved_steps(workdir)[-1:] == [step]
    return step


def _check_stopped(workdir: Path, failpoint: str, *args: str, **options: str) -> int:
    """Stop a run; return the step that was saved."""
    before = saved_steps(workdir)
    return _check_kept(run(workdir, *args, failpoint=failpoint, **options), workdir, before)


def test_chain_of_signals_loses_nothing(tmp_path: Path, undisturbed: Path, digest: str) -> None:
    workdir, steps = tmp_path / "run", [0]
    for moment in ("strategy.before:term", "loop.boundary:term@2", "evaluate.boundary:term@2",
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
    assert metric_lines(workdir) == metric_lines(undisturbed)


def _check_signals_pouring_in(workdir: Path, **options: str) -> None:
    with ended(Worker(workdir, *ENDLESS, **options)) as worker:
        worker.wait_for("step 5/")
        sent = time.monotonic()
        worker.send(signal.SIGINT)
        while worker.process.poll() is None and time.monotonic() - sent < 30:
            worker.send(signal.SIGTERM)
            time.sleep(0.002)
        assert time.monotonic() - sent < 30
    # However late a signal comes, nothing follows the line that ends the run.
    assert _check_kept(worker, workdir, []) > 0


def test_a_second_signal_does_not_lose_the_save(tmp_path: Path) -> None:
    _check_signals_pouring_in(tmp_path / "run")


@pytest.mark.slow
def test_sabotage_a_second_signal_that_ends_at_once_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_signals_pouring_in(tmp_path / "run", sabotage="dies_of_a_second_signal")


def _check_signal_while_tracing(workdir: Path, digest: str, **options: str) -> None:
    args = ("--config.task.name=tests.chaos.signalled:Signalled",
            f"--config.task.args.marker={workdir.parent / 'sent'}")  # fmt: skip
    assert _check_stopped(workdir, "", *args, **options) == 1
    assert finish(workdir, *args) == digest


def test_signal_while_the_step_is_traced(tmp_path: Path, digest: str) -> None:
    _check_signal_while_tracing(tmp_path / "run", digest)


@pytest.mark.slow
def test_sabotage_a_signal_swallowed_by_the_trace_is_caught(tmp_path: Path, digest: str) -> None:
    with must_fail():
        _check_signal_while_tracing(tmp_path / "run", digest, sabotage="swallows_signals")


def _check_signal_while_waiting(workdir: Path, **options: str) -> None:
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    with ended(Worker(workdir, cluster=cluster, **options)) as worker:
        worker.wait_for("waiting for worker 1 of 2")
        worker.send(signal.SIGTERM)
        assert worker.wait(5) == 143
    assert worker.last_line.startswith("stopped (143): SIGTERM before training began")


def test_signal_while_peers_are_awaited(tmp_path: Path) -> None:
    _check_signal_while_waiting(tmp_path / "run")


def test_sabotage_a_wait_that_hears_nothing_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_signal_while_waiting(tmp_path / "run", sabotage="swallows_signals")


def test_sabotage_swallowed_signal_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_stopped(tmp_path / "run", "loop.boundary:term", sabotage="swallows_signals")


@pytest.mark.slow
def test_sabotage_forgotten_save_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_stopped(tmp_path / "run", "loop.boundary:term@3", sabotage="forgets_the_stop_save")


@pytest.mark.slow
@pytest.mark.parametrize("boundary", [1, 2, 3, 4, 5, 8, 10, 12, 14, 15, 16, 17, 18, 19, 20, 21])
def test_signal_at_every_boundary(
    tmp_path: Path, undisturbed: Path, digest: str, boundary: int
) -> None:
    workdir = tmp_path / "run"
    _check_stopped(workdir, f"loop.boundary:term@{boundary}")
    assert finish(workdir) == digest
    assert metric_lines(workdir) == metric_lines(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("step", [STEPS - 2, STEPS - 1])
def test_signal_in_the_last_steps(tmp_path: Path, digest: str, step: int) -> None:
    workdir, log = tmp_path / "run", "--config.log_every_steps=1"
    # With a line a step, every step ends at a boundary; the first is before the first step.
    assert _check_stopped(workdir, f"loop.boundary:term@{step + 1}", log) == step
    assert finish(workdir, log) == digest


def _check_last_evaluation(workdir: Path, failpoint: str, *args: str, **options: str) -> None:
    """Stop a run whose steps are all made and whose last evaluation is not."""
    steps = _check_stopped(workdir, failpoint, *args, **options)
    assert json.loads((workdir / "summary.json").read_text())["status"] == "stopped"
    assert logged_steps(workdir, "eval/")[-1:] != [steps]
    finish(workdir, *args, **options)
    assert logged_steps(workdir, "eval/")[-1] == steps
    assert json.loads((workdir / "summary.json").read_text())["eval"] == {
        name.removeprefix("eval/"): value
        for name, value in metric_lines(workdir)[-1].items()
        if name.startswith("eval/")
    }


def test_a_signal_before_the_last_evaluation_leaves_it_to_the_next_start(
    tmp_path: Path, undisturbed: Path
) -> None:
    few = "--config.train_steps=8"
    # Boundaries after steps 0, 1, 5, 6 and 8.
    _check_last_evaluation(tmp_path / "run", "loop.boundary:term@5", few)
    (before,) = [x for x in metric_lines(undisturbed) if x["step"] == 8 and "eval/loss" in x]
    assert metric_lines(tmp_path / "run")[-1] == before


@pytest.mark.slow
def test_a_signal_in_the_last_evaluation_leaves_it_to_the_next_start(tmp_path: Path) -> None:
    # 296 batches of one example: more than one call, so that a signal is heard between two.
    one = ("--config.global_batch_size=1", "--config.virtual_replicas=1", "--config.train_steps=2")
    _check_last_evaluation(tmp_path / "run", "evaluate.boundary:term@1", *one)


def _stop_at_random(worker: Worker, rng: random.Random, number: int, reached: int) -> float:
    """Most signals come while steps are made or saved, every fourth while the process starts.

    Every third signal is followed by another. Returns the seconds to the end of the process.
    """
    if number % 4:
        worker.wait_for(f"step {(reached // 10 + rng.randrange(1, 8)) * 10}/")
        time.sleep(rng.uniform(0.0, 0.1))
    else:
        worker.wait_while_starting(rng.uniform(0.5, 6.0))
    sent = time.monotonic()
    worker.send(signal.SIGTERM)
    if number % 3 == 0:
        time.sleep(rng.uniform(0.0, 0.1))
        worker.send(signal.SIGINT)
    worker.wait(30)
    return time.monotonic() - sent


def _check_stopped_at_random(workdir: Path, digest: str, signals: int, **options: str) -> None:
    rng, reached, trained, took = random.Random(0), 0, 0, []
    for number in range(signals):
        before = saved_steps(workdir)
        with ended(Worker(workdir, *LONG, **options)) as worker:
            secs = _stop_at_random(worker, rng, number, reached)
        step = _check_kept(worker, workdir, before)
        shown = [int(found) for found in re.findall(r" step (\d+)/", worker.output)]
        if step:  # no step is lost: neither one that was shown, nor one of a process before
            assert step >= max(shown, default=0)
            assert step >= reached
            assert reached == 0 or f"restored step_{reached:09d}" in worker.output
            reached = step
        if number % 4:
            took.append(secs)
        trained += bool(step)
    assert trained >= signals // 2
    assert reached < LONG_STEPS
    assert max(took) < CALL_SECS + 5, took
    assert finish(workdir, *LONG) == digest
    print(f"{signals} signals, {trained} while training, ends after {min(took):.2f} to "
          f"{max(took):.2f} s, step {reached}")  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_signal_at_twenty_random_times(tmp_path: Path, long_digest: str) -> None:
    _check_stopped_at_random(tmp_path / "run", long_digest, 20)


@pytest.mark.slow
def test_sabotage_of_random_signals_is_caught(tmp_path: Path, long_digest: str) -> None:
    with must_fail():
        _check_stopped_at_random(tmp_path / "run", long_digest, 3, sabotage="forgets_the_stop_save")
