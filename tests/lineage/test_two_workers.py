"""Two real workers, killed between, end early, go on longer and start children as one does."""

import json
from pathlib import Path

import pytest

from tests.chaos.harness import audit, finish, metric_lines, pair, run, saved_steps

# The loss falls, so that by mode=max nothing is better than the first evaluation after step 16.
RULE = ("--config.stop.metric=loss", "--config.stop.mode=max", "--config.stop.patience=3",
        "--config.stop.after=16", "--config.plateau.metric=", "--config.keep_best_metric=loss",
        "--config.keep_best_mode=min")  # fmt: skip
STEADY = "--config.plateau.metric="


def summary(workdir: Path) -> dict:
    return json.loads((workdir / "summary.json").read_text())


def two(workdir: Path, *args: str, failpoint: str = "", codes: tuple[int, ...] = (0, 0)) -> None:
    with pair(workdir, *args, failpoints=("", failpoint)) as workers:
        assert tuple(worker.wait() for worker in workers) == codes, workers[0].output


@pytest.mark.slow
def test_an_early_stop_of_two_workers_killed_between_is_that_of_one(tmp_path: Path) -> None:
    one, both = tmp_path / "one", tmp_path / "both"
    digest = finish(one, *RULE)
    two(both, *RULE, failpoint="loop.boundary:kill@8", codes=(201, 137))
    two(both, *RULE)
    assert summary(both)["state_digest"] == digest
    assert (summary(both)["step"], summary(both)["status"]) == (48, "stopped_early")
    assert metric_lines(both) == metric_lines(one)
    assert saved_steps(both) == saved_steps(one)


@pytest.mark.slow
def test_hours_that_are_over_end_two_workers_after_one_step(tmp_path: Path) -> None:
    endless = (STEADY, "--config.train_steps=1000000", "--config.eval_every_steps=1000000")
    two(tmp_path / "run", *endless, "--config.stop.max_hours=0.008")
    ended = summary(tmp_path / "run")
    assert (ended["status"], ended["ended_by"]) == ("stopped_early", "stop.max_hours")
    steps = f"--config.train_steps={ended['step']}"
    assert finish(tmp_path / "again", STEADY, steps, endless[2]) == ended["state_digest"]


@pytest.mark.slow
def test_a_run_of_two_workers_goes_on_longer_as_one(tmp_path: Path) -> None:
    grown, log = tmp_path / "grown", f"--log_examples={tmp_path / 'examples'}"
    digest = finish(tmp_path / "whole", STEADY, f"--log_examples={tmp_path / 'whole examples'}")
    two(grown, STEADY, log, "--config.train_steps=21")
    killed = run(grown, STEADY, log, "--config.train_steps=43", failpoint="loop.boundary:kill@5")
    assert killed.wait() == 137
    finish(grown, STEADY, log, "--config.train_steps=43")
    two(grown, STEADY, log)
    assert summary(grown)["state_digest"] == digest
    assert metric_lines(grown) == metric_lines(tmp_path / "whole")
    assert audit(tmp_path / "examples") == audit(tmp_path / "whole examples")


@pytest.mark.slow
def test_a_child_of_two_workers_killed_at_any_moment_of_its_start(tmp_path: Path) -> None:
    mother, one, both = (tmp_path / name for name in ("mother", "one", "both"))
    finish(mother, "--config.train_steps=12")
    child = ("--config.train_steps=12", f"--config.init.from={mother}")
    digest = finish(one, *child)
    with pair(both, *child, failpoints=("checkpoint.before_commit:kill", "")) as workers:
        assert [worker.wait() for worker in workers] == [137, 201], workers[1].output
    assert saved_steps(both) == []
    two(both, *child, failpoint="loop.boundary:kill@2", codes=(201, 137))
    two(both, *child)
    assert summary(both)["state_digest"] == digest
    assert summary(both)["parent"]["digest"] == summary(mother)["state_digest"]
