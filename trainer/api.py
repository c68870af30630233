"""The trainer from Python: `from trainer import TrainConfig, train`."""

import math
import os
from typing import Any, Literal

from common.cluster_description import read_cluster
from common.exit_codes import ExitCode, RunError
from trainer.cluster import placement
from trainer.config import TrainConfig, checks, parts
from trainer.config.conversion import from_plain, to_plain
from trainer.data import sources
from trainer.data.info import DatasetInfo
from trainer.plan import Plan, make_plan
from trainer.run.fast_dev_run import fast_dev_run as run_fast
from trainer.run.fast_dev_run import few_batches
from trainer.runtime import xla_flags


def train(
    config: TrainConfig,
    workdir: str = "",
    *,
    strategy: Literal["auto", "cpu", "mirrored", "tpu"] = "auto",
    cpu_replicas: int = 0,
    tpu: str = "",
    fast_dev_run: bool = False,
    overfit_batches: int = 0,
) -> dict[str, Any]:
    """Train as `python -m trainer` does: the same config, the same state; no flags are read.

    Nothing ends this process: an interrupt is Python's own, and the same call goes on from the
    newest checkpoint.

    Args:
        config: what to train.
        workdir: folder of the run, or its URL; not used by `fast_dev_run`.
        strategy: where.
        cpu_replicas: on this CPU. TensorFlow splits the CPU once: one number in one process.
        tpu: `local`, or `grpc://host:8470`.
        fast_dev_run: make two steps through every code path in a temporary folder.
        overfit_batches: train and evaluate on so many batches only; 0: on all data.

    Returns:
        What `summary.json` says.

    Raises:
        RunError: with the reason in one line, and the exit code that the command would have.
    """
    plain = to_plain(config)
    checks.refuse_secrets((f"workdir={workdir}", f"tpu={tpu}"), plain)
    config = from_plain(TrainConfig, plain)
    if strategy not in ("auto", "cpu", "mirrored", "tpu"):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"train(strategy={strategy!r}) is not one of auto, cpu, mirrored, tpu",
        )
    placement.refuse(strategy, cpu_replicas, tpu)
    parts.check_names(config)
    if not workdir and not fast_dev_run:
        raise RunError(ExitCode.BAD_FLAG, "train(workdir=...) is missing: the folder of the run")
    info = sources.describe(config.dataset)
    if overfit_batches:
        info = few_batches(info, overfit_batches, config.global_batch_size)

    _configure_runtime(config)

    def run(config: TrainConfig, info: DatasetInfo, plan: Plan, workdir: str) -> dict[str, Any]:
        from trainer.cluster.strategy import Placement
        from trainer.monitoring.goodput import Ledger
        from trainer.monitoring.phases import Phases
        from trainer.monitoring.stop import StopSignal
        from trainer.monitoring.watchdog import Watchdog
        from trainer.run import loop

        placement = Placement(strategy, cpu_replicas, tpu, read_cluster({}))
        # Neither is entered: in a notebook, no thread may take signals or end the process.
        phases = Phases(Watchdog(math.inf, math.inf), Ledger())
        return loop.run(config, info, plan, placement, workdir, stop=StopSignal(), phases=phases)

    if fast_dev_run:
        return run_fast(config, info, run)
    return run(config, info, make_plan(config, info), workdir)


def _configure_runtime(config: TrainConfig) -> None:
    xla_flags.fix_gpu_bits(os.environ)
    from trainer.cluster import strategy

    try:
        strategy.configure_runtime(config.intra_op_threads, compiled=config.execution != "graph")
    except RuntimeError as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            "train(): TensorFlow was used in this process before, and computes with another number "
            f"of threads than config.intra_op_threads={config.intra_op_threads}; call train() "
            "before anything else does, or restart the notebook's kernel",
        ) from error
