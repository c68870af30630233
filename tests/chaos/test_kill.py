"""R1: kill -9 anywhere; the same command ends with the same state. R21: where its time went."""

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.harness import (
    LONG,
    LONG_SAVE_EVERY,
    LONG_STEPS,
    SAVE_EVERY,
    STEPS,
    Worker,
    audit,
    ended,
    finish,
    logged_steps,
    metric_lines,
    must_fail,
    run,
    saved_steps,
)
from trainer.failpoints import NAMES

# The rendezvous is reached by runs with peers only, see test_two_workers.py.
PLACES = [name for name in NAMES if not name.startswith("rendezvous")]
STREAMED = ("--config.dataset.serve=stream",)


def _check_killed(workdir: Path, failpoint: str, digest: str, *args: str, **options: str) -> None:
    killed = run(workdir, *args, failpoint=f"{failpoint}:kill")
    assert killed.wait() == 137, killed.output
    assert finish(workdir, *args, **options) == digest
    assert not list((workdir / "checkpoints").glob(".partial*"))


def _check_time(workdir: Path) -> dict:
    """Every second of a run is in one bucket; returns its goodput."""
    goodput = json.loads((workdir / "summary.json").read_text())["goodput"]
    assert sum(goodput["seconds"].values()) == pytest.approx(goodput["total_seconds"], rel=1e-3)
    return goodput


def _elapsed(workdir: Path, step: int) -> float:
    meta = workdir / "checkpoints" / f"step_{step:09d}" / "meta.json"
    return json.loads(meta.read_text())["seconds"]


def test_chain_of_kills(tmp_path: Path, undisturbed: Path, digest: str) -> None:
    workdir, log = tmp_path / "run", f"--log_examples={tmp_path / 'examples'}"
    for failpoint in ("checkpoint.before_commit:kill@2", "loop.boundary:kill@9"):
        killed = run(workdir, log, failpoint=failpoint)
        assert killed.wait() == 137, killed.output
    reached = max(logged_steps(workdir, "train/"), default=0)
    earlier = _elapsed(workdir, saved_steps(workdir)[-1])
    last = run(workdir, log)
    assert last.wait() == 0, last.output
    restored = int(last.output.partition("restored step_")[2].split()[0])
    assert reached - restored <= 2 * SAVE_EVERY
    assert (workdir / "summary.json").read_text().count(digest) == 2  # and in the certificate
    goodput = _check_time(workdir)
    assert goodput["attempts"] == 3
    # The time of all processes so far is in every checkpoint.
    assert 0 < earlier < _elapsed(workdir, STEPS) < goodput["total_seconds"]
    examples = audit(tmp_path / "examples")
    assert examples == audit(undisturbed.parent / "examples")
    assert len(examples) == STEPS * 32
    # Every line is there once, with the numbers of the run that nothing happened to.
    assert metric_lines(workdir) == metric_lines(undisturbed)


def test_goodput_is_in_the_summary_the_log_and_tensorboard(undisturbed: Path) -> None:
    goodput = _check_time(undisturbed)
    (log,) = undisturbed.parent.glob("run-*.log")
    (line,) = [line for line in log.read_text().splitlines() if "goodput" in line]
    assert f"goodput {goodput['goodput']:.4g}" in line
    # Imported late: TensorBoard brings TensorFlow along, which no other test here needs.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    board = EventAccumulator(str(undisturbed / "tensorboard")).Reload()
    shown = {"goodput": goodput["goodput"]}
    shown |= {f"seconds/{bucket}": goodput["seconds"][bucket] for bucket in ("start", "compile")}
    for name, value in shown.items():
        last = board.Tensors(name)[-1]
        assert last.step == STEPS
        assert make_ndarray(last.tensor_proto) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("sabotage", ["forgets_optimizer"])
def test_sabotage_is_caught(tmp_path: Path, digest: str, sabotage: str) -> None:
    with must_fail():
        _check_killed(tmp_path / "run", "checkpoint.after_rename", digest, sabotage=sabotage)


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", PLACES)
def test_kill_at_every_failpoint(tmp_path: Path, digest: str, failpoint: str) -> None:
    args = STREAMED if failpoint == "data.read" else ()
    _check_killed(tmp_path / "run", failpoint, digest, *args)


def _kill_at_random(worker: Worker, rng: random.Random, kill: int, reached: int) -> None:
    """Most kills come while steps are made, every fourth while the process starts."""
    if kill % 4:
        worker.wait_for(f"step {(reached // 10 + rng.randrange(1, 10)) * 10}/")
        time.sleep(rng.uniform(0.0, 0.1))
    else:
        worker.wait_while_starting(rng.uniform(0.5, 6.0))
    worker.send(signal.SIGKILL)
    assert worker.wait() == 137, worker.output


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_at_twenty_random_times(
    tmp_path: Path, long_undisturbed: Path, long_digest: str
) -> None:
    workdir, kills = tmp_path / "run", 20
    rng, log = random.Random(0), f"--log_examples={tmp_path / 'examples'}"
    reached, trained, under_way = 0, 0, False
    for kill in range(kills):
        worker = Worker(workdir, *LONG, log)
        with ended(worker):
            _kill_at_random(worker, rng, kill, reached)
        assert "skipped a damaged checkpoint" not in worker.output
        # What is redone: at most an interval, and what ran while a save was being written.
        if found := re.search(r"restored step_(\d+)", worker.output):
            assert reached - int(found[1]) <= LONG_SAVE_EVERY * (2 if under_way else 1)
        before, written = reached, (workdir / "metrics.jsonl").exists()
        reached = max(logged_steps(workdir, "train/"), default=0) if written else 0
        trained += reached > before
        under_way = bool(list((workdir / "checkpoints").glob(".partial_*")))
    assert trained >= kills // 2
    assert reached < LONG_STEPS
    assert finish(workdir, *LONG, log) == long_digest
    assert saved_steps(workdir)[-1] == LONG_STEPS
    assert audit(tmp_path / "examples") == audit(long_undisturbed.parent / "examples")
    assert metric_lines(workdir) == metric_lines(long_undisturbed)
    goodput = _check_time(workdir)
    assert goodput["attempts"] > kills // 2
    print(f"{kills} kills: {goodput}")


@pytest.mark.slow
def test_sabotage_of_the_seed_is_caught(tmp_path: Path, digest: str) -> None:
    with must_fail():
        _check_killed(tmp_path / "run", "loop.boundary", digest, sabotage="seeds_from_the_clock")
