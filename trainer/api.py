"""The trainer from Python: `from trainer import TrainConfig, train`."""

import os
from typing import Literal

from common.exit_codes import ExitCode, RunError
from trainer.cluster.placement import Placement
from trainer.config import TrainConfig, checks
from trainer.config.conversion import from_plain, to_plain
from trainer.monitoring.phases import unwatched
from trainer.monitoring.stop import StopSignal
from trainer.run.opened import Run
from trainer.run.request import make_request
from trainer.runtime import xla

_MOST_REPLICAS = 16


def train(
    config: TrainConfig,
    workdir: str = "",
    *,
    strategy: Literal["auto", "cpu", "mirrored", "tpu"] = "auto",
    cpu_replicas: int = 0,
    tpu: str = "",
    fast_dev_run: bool = False,
    overfit_batches: int = 0,
    accept_code_change: bool = False,
) -> Run:
    """Train as `python -m trainer` does: the same config, the same state; no flags are read.

    It may be called any number of times in one process: the memory of a run is released when it
    ends, except compiled XLA programs, which TensorFlow keeps until the process ends: of a small
    model about 10 MiB in `xla_step` and 25 MiB in `xla_loop`. For a sweep over hundreds of models
    use `graph`, or a process for each.

    It never ends the process: an interrupt raises KeyboardInterrupt, and the same call resumes from
    the newest checkpoint.

    Args:
        config: what to train.
        workdir: folder of the run, or its URL; not used by `fast_dev_run`.
        strategy: where.
        cpu_replicas: on this CPU. The first call decides how many may follow in this process: as
            many as the virtual replicas of its config, at most 16.
        tpu: `local`, or `grpc://host:8470`.
        fast_dev_run: make two steps through every code path in a temporary folder.
        overfit_batches: train and evaluate on so many batches only; 0: on all data.
        accept_code_change: go on from a checkpoint that other code has written.

    Returns:
        The run: its `summary`, metrics, checkpoints and model.

    Raises:
        RunError: with the reason in one line, and the exit code that the command would have.
    """
    config = _checked(config, workdir, tpu)
    _check_arguments(strategy, workdir, needs_workdir=not fast_dev_run)
    # Neither the cluster's description nor a signal is ours: TF_CONFIG may be of another program,
    # and in a notebook no thread may take signals or end the process.
    placement = Placement(strategy, cpu_replicas, tpu)
    request = make_request(
        config,
        placement,
        overfit_batches=overfit_batches,
        accept_code_change=accept_code_change,
    )
    _configure_runtime(config, placement)
    from trainer.cluster import peers
    from trainer.run import fast_dev_run as quick
    from trainer.run import loop

    stop, phases = StopSignal(), unwatched()
    with peers.naming_lost(placement.cluster):
        if fast_dev_run:
            return Run("", quick.fast_dev_run(request, stop=stop, phases=phases), None)
        return Run(workdir, loop.run(request, workdir, stop=stop, phases=phases), None)


def _checked(config: TrainConfig, workdir: str, tpu: str) -> TrainConfig:
    """Go there and back again: short forms become whole, and what no file can hold is refused."""
    plain = to_plain(config)
    checks.refuse_secrets((f"workdir={workdir}", f"tpu={tpu}"), plain)
    return from_plain(TrainConfig, plain)


def _check_arguments(strategy: str, workdir: str, *, needs_workdir: bool) -> None:
    if strategy not in ("auto", "cpu", "mirrored", "tpu"):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"train(strategy={strategy!r}) is not one of auto, cpu, mirrored, tpu",
        )
    if needs_workdir and not workdir:
        raise RunError(ExitCode.BAD_FLAG, "train(workdir=...) is missing: the folder of the run")


def _configure_runtime(config: TrainConfig, placement: Placement) -> None:
    xla.fix_gpu_bits(os.environ)
    from trainer.cluster import strategy

    try:
        strategy.configure_runtime(config)
    except RuntimeError as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            "train(): TensorFlow was used in this process before, and computes with another number "
            f"of threads than config.intra_op_threads={config.intra_op_threads}; call train() "
            "before anything else does, or restart the notebook's kernel",
        ) from error
    if strategy.is_cpu(placement):  # it is split once in a process, and other runs may follow
        strategy.split_cpu(
            max(placement.cpu_replicas, min(config.virtual_replicas, _MOST_REPLICAS))
        )
