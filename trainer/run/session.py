"""The objects of a run, built once: strategy, task, input pipelines, compiled loops."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import build
from trainer.cluster import strategy
from trainer.config import TrainConfig
from trainer.data.augment import preprocess
from trainer.data.info import DatasetInfo, Split
from trainer.data.serving import input_pipeline
from trainer.engine import audit, gpu_kernels
from trainer.engine.inner_loop import InnerLoop, InputPipeline, StepFn
from trainer.engine.step import Sums, make_eval_step, make_train_step, zero_sums
from trainer.plan import Plan, microbatches_per_replica
from trainer.task import Task


@dataclasses.dataclass(frozen=True)
class Session:
    """Everything that the outer loop drives.

    Attributes:
        strategy: with R replicas.
        task: the training problem, with its state.
        train: (first step, number of steps) -> their sums.
        evaluate: the same over padded batches of the evaluation split, or None.
        rate_scale: factor on every learning rate, lowered on a plateau.
        data_wait: seconds so far that training steps waited for their examples.
    """

    strategy: tf.distribute.Strategy
    task: Task
    train: InnerLoop
    evaluate: InnerLoop | None
    rate_scale: keras.Variable
    data_wait: Callable[[], float]

    def read_state(self) -> dict[str, np.ndarray]:
        """Return every variable of the task by name, on the host."""
        return {name: np.asarray(v.numpy()) for name, v in self.task.state().items()}

    def write_state(self, state: dict[str, np.ndarray]) -> None:
        """Assign every variable of the task, on every replica."""
        for name, variable in self.task.state().items():
            variable.assign(state[name])

    def expected(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return name -> (shape, dtype) of every variable."""
        return {n: (tuple(v.shape), str(v.dtype)) for n, v in self.task.state().items()}


def open_session(
    config: TrainConfig, info: DatasetInfo, plan: Plan, placement: strategy.Placement
) -> Session:
    """Create the strategy and build all on it.

    Raises:
        RunError: where the hardware or the config does not allow the run.
    """
    strategy.configure_runtime(config.intra_op_threads, compiled=config.execution != "graph")
    distribution = strategy.create(placement)
    num_replicas = distribution.num_replicas_in_sync
    num_microbatches = microbatches_per_replica(config.virtual_replicas, num_replicas)
    _check_execution(config, num_replicas)
    keras.backend.clear_session()
    with distribution.scope():
        rate_scale = keras.Variable(1.0, trainable=False, name="rate_scale")
        task = build.build_task(
            config,
            preprocess.seen_features(info.features, config.augment),
            total_steps=plan.total_steps,
            rate_scale=rate_scale,
        )
    _check_watched(config, task, info)
    loops = _Loops(config, info, plan, placement, distribution, task, num_microbatches, rate_scale)
    train_pipeline = loops.train_pipeline()
    return Session(
        distribution,
        task,
        loops.train(train_pipeline),
        loops.evaluate(info.evaluation) if info.evaluation else None,
        rate_scale,
        train_pipeline.waited,
    )


@dataclasses.dataclass(frozen=True)
class _Loops:
    """Joins steps to the input pipelines of their examples."""

    config: TrainConfig
    info: DatasetInfo
    plan: Plan
    placement: strategy.Placement
    strategy: tf.distribute.Strategy
    task: Task
    num_microbatches: int
    rate_scale: keras.Variable

    @property
    def _compiled(self) -> bool:
        return self.config.execution == "xla_loop"

    def train_pipeline(self) -> InputPipeline:
        return self._pipeline(
            split=self.info.train,
            seed=self.config.seed,
            num_steps=self.plan.total_steps,
            log_examples=self.placement.log_examples,
        )

    def train(self, pipeline: InputPipeline) -> InnerLoop:
        config, features = self.config, self.info.features
        return self._loop(
            make_train_step(self.task, build.step_plan(config)),
            pipeline,
            preprocess.make_preprocess(features, config.augment, seed=config.seed),
            zero=zero_sums(self.task, training=True),
        )

    def evaluate(self, split: Split) -> InnerLoop:
        config, features = self.config, self.info.features
        return self._loop(
            make_eval_step(self.task, build.step_plan(config)),
            self._pipeline(split=split, seed=None, num_steps=self.plan.eval_steps),
            preprocess.make_preprocess(features, config.augment),
            zero=zero_sums(self.task, training=False),
        )

    def _pipeline(self, **options: Any) -> InputPipeline:
        return input_pipeline.make_pipeline(
            self.strategy,
            self.info,
            self.config.dataset,
            batch_size=self.plan.batch_size,
            microbatch_size=self.plan.microbatch_size,
            stage=self.placement.stage,
            compiled=self._compiled,
            num_processes=self.placement.cluster.num_on_host,
            **options,
        )

    def _loop(self, step_fn: StepFn, *parts: Any, zero: Sums) -> InnerLoop:
        if self.config.execution == "graph" and strategy.uses_gpu():
            step_fn = gpu_kernels.checked(step_fn)
        step_fn = audit.audited(step_fn, [*self.task.readable(), self.rate_scale])
        return InnerLoop(
            self.strategy,
            step_fn,
            *parts,
            microbatches_per_replica=self.num_microbatches,
            zero=zero,
            compiled=self._compiled,
        )


def _check_watched(config: TrainConfig, task: Task, info: DatasetInfo) -> None:
    """Refuse the name of a metric that no evaluation will give."""
    allowed = ["loss", *task.metrics] if info.evaluation else []
    for field, name in (
        ("plateau.metric", config.plateau.metric),
        ("keep_best_metric", config.keep_best_metric),
    ):
        if name and name not in allowed:
            why = f"allowed: {', '.join(allowed)}" if allowed else "there is no evaluation split"
            raise RunError(ExitCode.BAD_CONFIG, f"config.{field}={name!r} is not evaluated; {why}")


def _check_execution(config: TrainConfig, num_replicas: int) -> None:
    if config.execution == "xla_loop" and num_replicas > 1:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.execution='xla_loop' compiles the whole loop for one device, and there are "
            f"{num_replicas} replicas; use xla_step or graph",
        )
