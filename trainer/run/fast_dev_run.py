"""`--fast_dev_run`: two steps through every code path, and a restore between them."""

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.cluster import strategy
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo
from trainer.engine import frozen
from trainer.monitoring.phases import Phases
from trainer.monitoring.stop import StopSignal
from trainer.plan import make_plan
from trainer.run import loop
from trainer.run.request import Request, first_examples
from trainer.run.session import open_session

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
        RunError: BAD_CONFIG where the second step does not come out the same again, after a restore
            or on another number of replicas, and where every step draws the same numbers.
    """
    config = _two_steps(request.config)
    info = _two_evaluations(request.info, config.global_batch_size)
    short = dataclasses.replace(request, config=config, info=info, plan=make_plan(config, info))
    other = _other_placement(short)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        whole = loop.run(short, folder, stop=stop, phases=phases)
        _refuse_skipped(whole)
        # The second step again, from the first: what is kept nowhere is not there any more. On
        # another number of replicas at once, which shows what depends on them.
        again = _again(other or short, folder, stop, phases)
        # First what has a line to name: a draw of Python's differs after a restore as well.
        _refuse_frozen(short)
        if again["state_digest"] != whole["state_digest"] and other:
            _refuse_difference(whole, _again(short, folder, stop, phases))
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"--fast_dev_run: {whole['replicas']} and {again['replicas']} replicas end in "
                "other states: something that the step uses depends on the replica, or on how "
                "often Python runs when it is traced; look for tf.distribute, NumPy and random",
            )
        _refuse_difference(whole, again)
    return whole


def _refuse_frozen(request: Request) -> None:
    """Refuse a step whose random numbers are made while it is traced."""
    if request.placement.cluster.num_workers == 1:
        train = open_session(request).train
        frozen.refuse_fixed_seeds(frozen.traced_alike(train.trace_anew))


def _again(request: Request, folder: str, stop: StopSignal, phases: Phases) -> dict[str, Any]:
    """Make the second step again, from the checkpoint of the first."""
    shutil.rmtree(max((Path(folder) / "checkpoints").glob("step_*")))
    return loop.run(request, folder, stop=stop, phases=phases)


def _refuse_skipped(whole: Mapping[str, Any]) -> None:
    if whole["train"].get("skipped_steps"):
        raise RunError(
            ExitCode.BUG,
            "--fast_dev_run: a step was left out because its loss, gradient or batch statistics "
            "were not finite; look for log(0), 0/0 and too large a learning rate",
        )


def _refuse_difference(whole: Mapping[str, Any], again: Mapping[str, Any]) -> None:
    if again["state_digest"] != whole["state_digest"]:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"--fast_dev_run: step {STEPS} gave another state after a restore: something that it "
            "uses is kept neither in models, optimizers nor metrics, or comes from random numbers "
            "that are not made of microbatch.seed(); keep it in a variable of one of them",
        )


def _other_placement(request: Request) -> Request | None:
    """Return the same on another number of CPU replicas; None where there is no other one.

    `xla_loop` knows one replica only, and no two kinds of devices give the same bits.
    """
    config, placement = request.config, request.placement
    count = next((n for n in range(2, config.virtual_replicas + 1)
                  if config.virtual_replicas % n == 0), 1)  # fmt: skip
    is_alone = placement.cluster.num_workers == 1
    if (
        count == 1
        or config.execution == "xla_loop"
        or not is_alone
        or not strategy.is_cpu(placement)
    ):
        return None
    replicas = 1 if placement.cpu_replicas > 1 else count
    if replicas > 1 and not strategy.split_cpu(replicas):
        print("one and two replicas are not compared: TensorFlow has one CPU device here",
              file=sys.stderr)  # fmt: skip
        return None
    return dataclasses.replace(
        request, placement=dataclasses.replace(placement, strategy="cpu", cpu_replicas=replicas)
    )


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
