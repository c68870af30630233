"""Quick checks of an experiment: two steps through every code path, or few batches to overfit."""

import dataclasses
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo, Split
from trainer.plan import Plan, make_plan

Run = Callable[[TrainConfig, DatasetInfo, Plan, str], dict[str, Any]]
STEPS = 2


def fast_dev_run(config: TrainConfig, info: DatasetInfo, run: Run) -> dict[str, Any]:
    """Train, log, evaluate and save two steps; then restore the first and make the second again.

    Args:
        config: of the experiment; its lengths and intervals are cut to single steps.
        info: of its data; the evaluation split is cut to two batches.
        run: (config, info, plan, workdir) -> summary.

    Returns:
        The summary of two steps.

    Raises:
        RunError: BAD_CONFIG where the second step does not come out the same again.
    """
    config, info = _two_steps(config), _two_evaluations(info, config.global_batch_size)
    plan = make_plan(config, info)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        whole = run(config, info, plan, folder)
        newest = max((Path(folder) / "checkpoints").glob("step_*"))
        shutil.rmtree(newest)
        again = run(config, info, plan, folder)
    if whole["train"].get("skipped_steps"):
        raise RunError(
            ExitCode.BUG,
            "--fast_dev_run: a step was left out because its loss, gradient or batch statistics "
            "were not finite; look for log(0), 0/0 and too large a learning rate",
        )
    if again["state_digest"] != whole["state_digest"]:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"--fast_dev_run: step {STEPS} gave another state after a restore: something that it "
            "uses is kept neither in models, optimizers nor metrics, or comes from random numbers "
            "that are not made of microbatch.seed(); keep it in a variable of one of them",
        )
    return whole


def few_batches(info: DatasetInfo, num_batches: int, batch_size: int) -> DatasetInfo:
    """Return the data cut to its first batches, which are evaluated on as well.

    Raises:
        RunError: BAD_FLAG where there are not so many.
    """
    train = info.train
    if num_batches * batch_size > train.num_examples:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--overfit_batches={num_batches}: split {train.name!r} holds "
            f"{train.num_examples // batch_size} batches of {batch_size}",
        )
    cut = _first(train, num_batches * batch_size)
    return dataclasses.replace(info, train=cut, evaluation=cut)


def _two_steps(config: TrainConfig) -> TrainConfig:
    return dataclasses.replace(
        config,
        train_steps=STEPS,
        epochs=0,
        log_every_steps=1,
        eval_every_steps=1,
        eval_before_training=True,
        checkpoint_every_steps=1,
        checkpoint_every_secs=0,
        keep_checkpoints=STEPS,
    )


def _two_evaluations(info: DatasetInfo, batch_size: int) -> DatasetInfo:
    if info.evaluation is None:
        return info
    return dataclasses.replace(info, evaluation=_first(info.evaluation, STEPS * batch_size))


def _first(split: Split, count: int) -> Split:
    return dataclasses.replace(split, stop=min(split.stop, split.start + count))
