"""The checkpoint with the best value of a metric outlives newer ones."""

import json
from pathlib import Path

import pytest

from tests.chaos.harness import finish, metric_lines, run, saved_steps

STEPS = 32
# So high a rate that the loss rises and falls.
ROUGH = (
    f"--config.train_steps={STEPS}",
    "--config.plateau.metric=",
    "--config.optimizer.learning_rate=0.4",
    "--config.eval_every_steps=4",
    "--config.checkpoint_every_steps=0",
    "--config.keep_checkpoints=1",
    "--config.keep_best_metric=loss",
)


@pytest.mark.parametrize(
    ("mode", "best_of"), [("min", min), pytest.param("max", max, marks=pytest.mark.slow)]
)
def test_the_best_checkpoint_is_kept_through_a_kill(tmp_path: Path, mode: str, best_of) -> None:
    workdir, args = tmp_path / "run", (*ROUGH, f"--config.keep_best_mode={mode}")
    assert run(workdir, *args, failpoint="evaluate.boundary:kill@6").wait() == 137
    finish(workdir, *args)
    losses = {x["step"]: x["eval/loss"] for x in metric_lines(workdir) if "eval/loss" in x}
    assert list(losses) == list(range(4, STEPS + 1, 4))
    best = best_of(losses, key=losses.get)
    assert best < STEPS, losses
    assert saved_steps(workdir) == [best, STEPS]
    meta = json.loads((workdir / "checkpoints" / f"step_{best:09d}" / "meta.json").read_text())
    assert (meta["progress"]["step"], meta["progress"]["best_step"]) == (best, best)
    assert meta["progress"]["best"] == meta["progress"]["evaluation"]["loss"] == losses[best]
