"""Chooses how a split reaches the step."""

import pathlib
from typing import Any

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Split
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan
from trainer.data.serving import memory
from trainer.data.serving.example_log import ExampleLog
from trainer.data.serving.order import Batches, Order, SequentialOrder, training_order
from trainer.data.serving.reading import ExampleReader, load
from trainer.data.serving.resident import ResidentPipeline
from trainer.data.serving.stream import StreamPipeline

MAX_STEPS_PER_CALL = 256
"""Steps that one call of the inner loop makes at most."""


def make_pipeline(
    strategy: tf.distribute.Strategy,
    info: DatasetInfo,
    config: DatasetConfig,
    *,
    split: Split,
    seed: int | None,
    batch_size: int,
    microbatch_size: int,
    num_steps: int,
    stage: Stage,
    compiled: bool,
    num_processes: int,
    log_examples: str = "",
) -> Any:
    """Return the pipeline of a split, an `inner_loop.InputPipeline`.

    Args:
        strategy: of the run.
        info: of the dataset.
        config: how it is served.
        split: to serve.
        seed: of the training order; None: every example once, in order, padded (evaluation).
        batch_size: B.
        microbatch_size: b = B / V.
        num_steps: in all.
        stage: where remote shards are brought.
        compiled: the loop is one program, which can only read tensors.
        num_processes: of the run on this host; they share its memory.
        log_examples: file that lists what is served; empty: none.

    Raises:
        RunError: BAD_DATA where an example cannot be read, BAD_CONFIG where all of them have to be
            resident and do not fit.
    """
    order: Order = SequentialOrder(split)
    if seed is not None:
        order = training_order(split, seed=seed, window=config.shuffle_window)
    places = local_places(strategy, batch_size)
    batches = Batches(order, batch_size, microbatch_size, places)
    log = ExampleLog(pathlib.Path(log_examples), batches) if log_examples else None
    num_replicas = num_local_replicas(strategy)
    serve = serve_mode(num_replicas, info, config, compiled=compiled, num_processes=num_processes)
    if serve == "resident":
        arrays = load(info, split, stage)
        rows = MAX_STEPS_PER_CALL if seed is not None else min(MAX_STEPS_PER_CALL, num_steps)
        return ResidentPipeline(strategy, arrays, batches, rows, log)
    visits = order.reading_order(num_steps * batch_size)
    plan = ReadPlan(info, split, info.features, visits, stage)
    return StreamPipeline(ExampleReader(plan), batches, num_steps, log)


def serve_mode(
    num_replicas: int,
    info: DatasetInfo,
    config: DatasetConfig,
    *,
    compiled: bool,
    num_processes: int,
) -> str:
    """Return `resident` or `stream`: what `config.serve` means on this host.

    Args:
        num_replicas: of this process; each keeps resident data of its own.
        info: of the dataset.
        config: how it is served.
        compiled: see `make_pipeline`.
        num_processes: see `make_pipeline`.

    Raises:
        RunError: BAD_CONFIG where all examples have to be resident and are not.
    """
    needed = info.num_bytes * num_replicas
    available = memory.available_bytes(num_replicas, num_processes)
    serve = config.serve
    if serve == "auto":
        serve = "resident" if needed <= available * memory.SHARE else "stream"
    if compiled and serve == "stream":
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.execution='xla_loop' needs resident data; decoded, it takes {needed} bytes "
            f"of {available} available, and config.dataset.serve={config.serve!r}; use "
            "config.execution=xla_step or graph",
        )
    return serve


def local_places(strategy: tf.distribute.Strategy, batch_size: int) -> range:
    """Return the places in a batch of B examples that the replicas of this worker work on."""
    size = batch_size // strategy.num_replicas_in_sync * num_local_replicas(strategy)
    resolver = strategy.cluster_resolver
    index = resolver.task_id if resolver is not None and size < batch_size else 0
    return range(index * size, (index + 1) * size)


def num_local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Return the replicas of this process."""
    if strategy.num_replicas_in_sync == 1:
        return 1  # the default strategy has no list of devices
    return len(strategy.extended.worker_devices)
