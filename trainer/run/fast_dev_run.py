"""`--fast_dev_run`: two steps through every code path, and a restore between them."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo
from trainer.monitoring.phases import Phases
from trainer.monitoring.stop import StopSignal
from trainer.plan import make_plan
from trainer.run import loop
from trainer.run.request import Request, first_examples

STEPS = 2


def fast_dev_run(request: Request, *, stop: StopSignal, phases: Phases) -> dict[str, Any]:
    """Train, log, evaluate and save two steps; then restore the first and make the second again.

    Args:
        request: lengths and intervals of its config are cut to single steps, its evaluation split
            to two batches.
        stop: signals of this process.
        phases: of this process.

    Returns:
        The summary of two steps.

    Raises:
        RunError: BAD_CONFIG where the second step does not come out the same again.
    """
    config = _two_steps(request.config)
    info = _two_evaluations(request.info, config.global_batch_size)
    short = dataclasses.replace(request, config=config, info=info, plan=make_plan(config, info))
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        whole = loop.run(short, folder, stop=stop, phases=phases)
        newest = max((Path(folder) / "checkpoints").glob("step_*"))
        shutil.rmtree(newest)
        again = loop.run(short, folder, stop=stop, phases=phases)
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
    return dataclasses.replace(info, evaluation=first_examples(info.evaluation, STEPS * batch_size))
