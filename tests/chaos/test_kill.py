"""R1: kill -9 anywhere; the same command ends with the same state."""

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.harness import (
    SAVE_EVERY,
    STEPS,
    Worker,
    audit,
    finish,
    logged_steps,
    must_fail,
    run,
    saved_steps,
)
from trainer.failpoints import NAMES

# The rendezvous is reached by runs with peers only.
PLACES = [name for name in NAMES if not name.startswith("rendezvous")]


def _check_killed(workdir: Path, failpoint: str, digest: str, **options: str) -> None:
    killed = run(workdir, failpoint=f"{failpoint}:kill")
    assert killed.wait() == 137, killed.output
    assert finish(workdir, **options) == digest
    assert not list((workdir / "checkpoints").glob(".partial*"))


def test_chain_of_kills(tmp_path: Path, undisturbed: Path, digest: str) -> None:
    workdir, log = tmp_path / "run", f"--log_examples={tmp_path / 'examples'}"
    for failpoint in ("checkpoint.before_commit:kill@2", "loop.edge:kill@9"):
        killed = run(workdir, log, failpoint=failpoint)
        assert killed.wait() == 137, killed.output
    reached = max(logged_steps(workdir, "train/"), default=0)
    last = run(workdir, log)
    assert last.wait() == 0, last.output
    restored = int(last.output.partition("restored step_")[2].split()[0])
    assert reached - restored <= 2 * SAVE_EVERY
    assert (workdir / "summary.json").read_text().count(digest) == 1
    goodput = json.loads((workdir / "summary.json").read_text())["goodput"]
    assert goodput["attempts"] == 3
    assert sum(goodput["seconds"].values()) == pytest.approx(goodput["total_seconds"], rel=1e-3)
    examples = audit(tmp_path / "examples")
    assert examples == audit(undisturbed.parent / "examples")
    assert len(examples) == STEPS * 32
    # Every line is there once, with the numbers of the run that nothing happened to.
    for prefix in ("train/", "eval/"):
        assert logged_steps(workdir, prefix) == logged_steps(undisturbed, prefix)


@pytest.mark.parametrize("sabotage", ["forgets_optimizer"])
def test_sabotage_is_caught(tmp_path: Path, digest: str, sabotage: str) -> None:
    with must_fail():
        _check_killed(tmp_path / "run", "checkpoint.after_rename", digest, sabotage=sabotage)


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", PLACES)
def test_kill_at_every_failpoint(tmp_path: Path, digest: str, failpoint: str) -> None:
    _check_killed(tmp_path / "run", failpoint, digest)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_at_twenty_random_times(tmp_path: Path) -> None:
    """Most kills come while steps are made, the rest while a process starts."""
    rng = random.Random(0)
    steps, every = 1200, 20
    args = (f"--config.train_steps={steps}", f"--config.checkpoint_every_steps={every}",
            "--config.log_every_steps=10", "--config.eval_every_steps=150")  # fmt: skip
    logs = [f"--log_examples={tmp_path / name}" for name in ("whole", "killed")]
    workdir, undisturbed = tmp_path / "run", Worker(tmp_path / "undisturbed", *args, logs[0])
    assert undisturbed.wait(600) == 0, undisturbed.output
    summary = json.loads((tmp_path / "undisturbed" / "summary.json").read_text())
    reached, trained = [0], 0
    for kill in range(20):
        worker = Worker(workdir, *args, logs[1])
        if kill % 4:
            worker.wait_for(f"step {(reached[-1] // 10 + rng.randrange(1, 10)) * 10}/")
            time.sleep(rng.uniform(0.0, 0.1))
        else:
            time.sleep(rng.uniform(0.5, 5.0))
        worker.send(signal.SIGKILL)
        assert worker.wait() == 137, worker.output
        started = (workdir / "metrics.jsonl").exists()
        reached.append(max(logged_steps(workdir, "train/"), default=0) if started else 0)
        trained += reached[-1] > reached[-2]
        # What is redone: less than an interval, and what ran while a save was being written.
        if found := re.search(r"restored step_(\d+)", worker.output):
            assert reached[-2] - int(found[1]) <= 2 * every
    assert trained >= 10, reached
    assert reached[-1] < steps
    last = Worker(workdir, *args, logs[1])
    assert last.wait(600) == 0, last.output
    assert summary["state_digest"] in (workdir / "summary.json").read_text()
    assert saved_steps(workdir)[-1] == steps
    assert audit(tmp_path / "killed") == audit(tmp_path / "whole")


@pytest.mark.slow
def test_sabotage_of_the_seed_is_caught(tmp_path: Path, digest: str) -> None:
    with must_fail():
        _check_killed(tmp_path / "run", "loop.edge", digest, sabotage="seeds_from_the_clock")
