"""R15: a number that is not finite, or a loss spike, in one microbatch: skipped, named, passed."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.harness import TINY, finish, must_fail, pair, run
from tests.processes import ROOT

PLAIN = ("--config.plateau.metric=",)
GUARDED = ("--config.loss_spike=4",)


def _poison(steps: list[int], value: str = "nan") -> tuple[str, ...]:
    return (
        *PLAIN,
        "--config.task.name=tests.chaos.poison:Poisoned",
        f"--config.task.args.steps={json.dumps(steps)}",
        f"--config.task.args.value={value}",
    )


def _replay(*ranges: tuple[int, int], args: Sequence[str] = ()) -> str:
    """Train only these steps, by another program than the loop."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.replay", json.dumps(ranges), *TINY, *PLAIN, *args],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout.strip()


def _check_skipped(workdir: Path, value: str, **options: str) -> None:
    served = workdir.parent / "examples"
    got = finish(workdir, f"--log_examples={served}", *_poison([20, 33], value), **options)
    assert got == _replay((0, 20), (21, 33), (34, 60))
    lines = [json.loads(line) for line in (workdir / "skipped.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 33]
    for line in lines:
        assert line["examples"] == _served_at(line["step"], served)


def _served_at(step: int, log: Path) -> list[int]:
    """Return the examples of a step as --log_examples wrote them down, in order of microbatches."""
    rows = [[int(x) for x in line.split("\t")] for line in log.read_text().splitlines()]
    return [example for logged, _, example in rows if logged == step]


def test_update_is_left_out_everywhere(tmp_path: Path) -> None:
    _check_skipped(tmp_path / "run", "nan")


@pytest.mark.slow
def test_infinity_is_left_out_everywhere(tmp_path: Path) -> None:
    _check_skipped(tmp_path / "run", "inf")


@pytest.mark.slow
def test_sabotage_guard_left_out_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_skipped(tmp_path / "run", "nan", sabotage="applies_every_update")


def test_three_in_a_row_roll_back_and_go_past(tmp_path: Path) -> None:
    # The first three begin right at the save of step 18, the others after that of step 30.
    workdir, args = tmp_path / "run", _poison([18, 19, 20, 33, 34, 35])
    stopped = run(workdir, *args, failpoint="loop.boundary:kill@14")  # and a death in between
    assert stopped.wait() == 137, stopped.output
    assert finish(workdir, *args) == _replay((0, 18), (21, 30), (36, 60))


def test_spent_budget_is_70(tmp_path: Path) -> None:
    ended = run(tmp_path / "run", *_poison(list(range(20, 60))))
    assert ended.wait() == 70, ended.output
    assert ended.last_line.startswith("bug (70): loss or gradient not finite in 3 steps")
    # Steps 20, 21, 22 and 23, 24, 25 went back to the same; the next three are the end.
    assert ended.output.count("rolled back to the weights of step 18") == 2
    assert "in 3 steps in a row up to step 29, after 2 rollbacks" in ended.last_line


def test_a_run_without_an_update_in_its_last_window_is_not_done(tmp_path: Path) -> None:
    # Fewer than a rollback takes, to the end.
    args = (*_poison([58, 59]), "--config.log_every_steps=2", "--config.max_skipped_steps=10")
    ended = run(tmp_path / "run", *args)
    assert ended.wait() == 70, ended.output
    assert "every update after step 58 of 60 was left out" in ended.last_line
    assert not (tmp_path / "run" / "summary.json").exists()


def _check_spikes(workdir: Path, *args: str, **options: str) -> None:
    """One example of one microbatch weighs a thousand times as much; with a death in between."""
    spiking = (*_poison([33, 45], "1000"), *GUARDED, *args)
    stopped = run(workdir, *spiking, failpoint="loop.boundary:kill@14")
    assert stopped.wait() == 137, stopped.output
    got = finish(workdir, *spiking, **options)
    assert got == _replay((0, 33), (34, 45), (46, 60), args=(*GUARDED, *_mode(args)))
    lines = [json.loads(line) for line in (workdir / "skipped.jsonl").read_text().splitlines()]
    assert {(line["step"], line["reason"]) for line in lines} == {
        (33, "loss spike"), (45, "loss spike"),
    }  # fmt: skip


def _mode(args: Sequence[str]) -> list[str]:
    """Return what of `args` has bits of its own; replicas have none."""
    return [arg for arg in args if arg.startswith("--config.")]


def test_a_loss_spike_is_left_out_on_two_replicas(tmp_path: Path) -> None:
    _check_spikes(tmp_path / "run", "--cpu_replicas=2")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["xla_step", "xla_loop"])
def test_a_loss_spike_is_left_out_in_compiled_modes(tmp_path: Path, mode: str) -> None:
    _check_spikes(tmp_path / "run", f"--config.execution={mode}")


@pytest.mark.slow
def test_a_loss_spike_is_left_out_on_two_workers(tmp_path: Path) -> None:
    args = (*_poison([33, 45], "1000"), *GUARDED)
    with pair(tmp_path / "run", *args) as workers:
        assert [worker.wait() for worker in workers] == [0, 0], workers[0].output
    expected = _replay((0, 33), (34, 45), (46, 60), args=GUARDED)
    assert expected in (tmp_path / "run" / "summary.json").read_text()


@pytest.mark.slow
def test_spikes_in_a_row_roll_back_and_go_past(tmp_path: Path) -> None:
    args = (*_poison([33, 34, 35], "1000"), *GUARDED)
    assert finish(tmp_path / "run", *args) == _replay((0, 30), (36, 60), args=GUARDED)


@pytest.mark.slow
def test_without_the_guard_a_spike_is_a_step_like_any_other(tmp_path: Path) -> None:
    finish(tmp_path / "run", *_poison([33, 45], "1000"))
    assert not (tmp_path / "run" / "skipped.jsonl").exists()


@pytest.mark.slow
def test_sabotage_a_guard_that_sees_no_spike_is_caught(tmp_path: Path) -> None:
    with must_fail():
        _check_spikes(tmp_path / "run", sabotage="sees_no_spike")
