"""R23: a replica whose memory went wrong is noticed, named, and left out of the result."""

from pathlib import Path

import numpy as np
import pytest

from tests.chaos.harness import (
    TINY,
    Worker,
    ended,
    finish,
    metric_lines,
    must_fail,
    pair,
    run,
    saved_steps,
)
from tests.processes import trainer
from trainer.run.corruption import digest_line, furthest, minority

EVERY = 4
FLIPPED = "main/000/sequential"


def _check_corrupted(workdir: Path, digest: str, *, every: int = EVERY) -> None:
    args = ("--cpu_replicas=2", f"--config.digest_every_steps={every}")
    worker = run(workdir, *args, sabotage="flips_a_bit")
    assert worker.wait() == 203, worker.output
    _check_line(worker.last_line, "replica 1 of 2 differs")
    assert saved_steps(workdir)[-1] <= 20 + EVERY
    assert finish(workdir, *args) == digest
    _check_digests(workdir)


def _check_line(line: str, who: str) -> None:
    assert who in line
    assert "/kernel" in line
    step = int(line.partition(" at step ")[2].partition(" ")[0])
    assert 20 < step <= 20 + EVERY


def _check_digests(workdir: Path) -> None:
    lines = [line for line in metric_lines(workdir) if "digest" in line]
    steps = [line["step"] for line in lines]
    assert steps == sorted({*range(4, 61, 4), *range(6, 61, 6)})
    assert len({line["digest"] for line in lines}) == len(lines)


def test_a_flipped_bit_is_noticed_and_named_and_the_run_ends_same(
    tmp_path: Path, digest: str
) -> None:
    _check_corrupted(tmp_path / "run", digest)


@pytest.mark.slow
def test_a_flipped_bit_of_a_worker_is_noticed_and_named(tmp_path: Path, digest: str) -> None:
    args = (f"--config.digest_every_steps={EVERY}",)
    with pair(tmp_path / "run", *args, sabotage="flips_a_bit") as workers:
        assert [worker.wait() for worker in workers] == [203, 203], workers[0].output
        for worker in workers:
            _check_line(worker.last_line, "replica 1 of 2 (worker 1, localhost:")
    assert finish(tmp_path / "run", *args) == digest


@pytest.mark.slow
def test_a_save_that_the_chief_makes_by_time_is_compared_on_all_workers(tmp_path: Path) -> None:
    args = ("--config.digest_every_steps=100000", "--config.checkpoint_every_steps=0",
            "--config.checkpoint_every_secs=0.01")  # fmt: skip
    with pair(tmp_path / "run", *args, sabotage="flips_a_bit") as workers:
        assert [worker.wait(300) for worker in workers] == [203, 203], workers[0].output
        assert "replica 1 of 2 (worker 1, localhost:" in workers[0].last_line
    assert 0 < saved_steps(tmp_path / "run")[-1] <= 20


@pytest.mark.slow
def test_diverge_names_step_and_variables_of_a_flipped_bit(
    tmp_path: Path, undisturbed: Path
) -> None:
    """Of one replica, which has no other to be compared with: the run ends as if all were well."""
    flipped = tmp_path / "run"
    args = ("--config.digest_every_steps=1", "--config.train_steps=26")
    with ended(Worker(flipped, *args, sabotage="flips_a_bit")) as worker:
        assert worker.wait(300) == 0, worker.output
    told = trainer("diverge", str(undisturbed), str(flipped), *TINY).stdout
    assert "recorded: equal at step 20, different at step 24" in told
    assert "replayed here: equal at every step" in told
    own = next(line for line in told.splitlines() if "and its replay: equal" in line)
    assert own.startswith(f"{flipped} and its replay: equal at step 20, different at step 21")
    assert "/kernel" in own.partition("variables: ")[2]
    assert f"code, kernels or hardware of {flipped} explain it" in told


def test_sabotage_a_flipped_bit_without_the_check_is_not_noticed(
    tmp_path: Path, digest: str
) -> None:
    with must_fail():
        _check_corrupted(tmp_path / "run", digest, every=0)


def test_of_three_the_one_that_differs_is_named() -> None:
    rows = np.array([[1, 2], [1, 3], [1, 2]])
    assert minority(rows) == [1]
    assert minority(rows[:2]) == []  # either may be right
    assert minority(np.array([[1], [1], [2], [2]])) == []


def test_what_is_furthest_from_a_replay_went_wrong() -> None:
    truth = np.zeros(3, np.float32)
    assert furthest(np.array([[0, 0.1, 0], [0, 0.1, np.nan]]), truth) == [1]
    assert furthest(np.array([[0, 0.2, 0], [0, 0.1, 0]]), truth) == [0]
    assert furthest(np.array([[0, 0.1, 0], [0.1, 0, 0]]), truth) == []


def test_a_high_bit_that_flips_is_seen_in_the_digits_of_its_variable() -> None:
    hashes = np.array([5, 7, 9], np.int64)
    flipped = hashes + np.array([0, 3 << 21, 0])
    one, two = (digest_line(h)["digest_of_variables"] for h in (hashes, flipped))
    assert [one[i : i + 4] == two[i : i + 4] for i in (0, 4, 8)] == [True, False, True]
