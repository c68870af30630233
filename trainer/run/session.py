"""The objects of a run, built once: strategy, task, input pipelines, compiled loops."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import build, checkpoint
from trainer.cluster import strategy
from trainer.config import TrainConfig
from trainer.data.augment import preprocess
from trainer.data.info import Split
from trainer.data.serving.input_pipeline import make_pipeline
from trainer.engine import audit, gpu_kernels, metric_states, sharding
from trainer.engine.forward_step import make_eval_step
from trainer.engine.inner_loop import InnerLoop
from trainer.engine.replica_hashes import make_hashes
from trainer.engine.sharding import Shards
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import zero_sums
from trainer.plan import idle_cores, microbatches_per_replica
from trainer.report.samples import Pictures, make_samples
from trainer.run.request import Request
from trainer.task import Task

_MOST_NAMES = 20


@dataclasses.dataclass(frozen=True)
class Session:
    """Everything on the devices that the loop drives.

    Attributes:
        request: what is trained, and where.
        strategy: with R replicas.
        task: the training problem, with its state.
        train: (first step, number of steps) -> their sums.
        evaluate: the same over padded batches of the evaluation split, or None.
        hashes: of every variable on every replica: () -> int64[R, variables].
        shards: what state exists once over all replicas.
        read_shards: variables -> id -> value, of those that do.
        rate_scale: factor on every learning rate, lowered on a plateau.
        pictures: draws what the task shows of itself: () -> name -> uint8[height, width, C].
    """

    request: Request
    strategy: tf.distribute.Strategy
    task: Task
    train: InnerLoop
    evaluate: InnerLoop | None
    hashes: Callable[[], np.ndarray]
    shards: Shards
    read_shards: Callable[[Iterable[keras.Variable]], Mapping[int, np.ndarray]]
    rate_scale: keras.Variable
    pictures: Callable[[], Pictures]

    def read_state(self) -> dict[str, np.ndarray]:
        """Return every variable of the task by name, on the host.

        Where state is sharded, every worker has to call it.
        """
        state = self.task.state()
        whole = self.read_shards(state.values())
        return {n: whole[id(v)] if id(v) in whole else np.asarray(v.numpy())
                for n, v in state.items()}  # fmt: skip

    @contextlib.contextmanager
    def averages_in_place(self) -> Iterator[None]:
        """Let the models be what is evaluated, where no replica has the whole of the averages.

        Every worker has to call it.
        """
        if not (self.task.average and self.task.average.is_sharded):
            yield
            return
        before = self.read_state()
        self.write_state(checkpoint.evaluated(before))
        try:
            yield
        finally:
            self.write_state(before)

    def write_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Assign every variable of the task, on every replica."""
        for name, variable in self.task.state().items():
            if bounds := self.shards.stored.get(id(variable)):
                sharding.write(self.strategy, variable, bounds, state[name])
            else:
                variable.assign(state[name])


def cores_without_work(request: Request) -> str:
    """Return what `plan.idle_cores` says of this process; "" where it is not the CPU that works."""
    if not strategy.is_cpu(request.placement):
        return ""
    return idle_cores(request.config, len(os.sched_getaffinity(0)))


def open_session(
    request: Request, *, is_for_training: bool = True, is_eager: bool = False
) -> Session:
    """Create the strategy and build all on it.

    Args:
        request: what is trained, and where.
        is_for_training: else there has to be an evaluation split, whose loop is all that is built.
        is_eager: whether the step will run as Python (`run.debug`); its loops are never called.

    Raises:
        RunError: where the hardware or the config does not allow the run.
    """
    config, info = request.config, request.info
    # Before the first device is used: TensorFlow takes its threads and switches once.
    strategy.configure_runtime(config)
    distribution = strategy.create(request.placement)
    _check_replicas(request, distribution.num_replicas_in_sync)
    keras.backend.clear_session()  # names of variables count what was made before
    # In the scope every variable is created on each replica.
    with distribution.scope():
        rate_scale = keras.Variable(1.0, trainable=False, name="rate_scale")
        task = build.build_task(
            config,
            preprocess.seen_features(info.features, config.augment),
            total_steps=request.plan.total_steps,
            rate_scale=rate_scale,
            is_eager=is_eager,
        )
        shards = _shards(config, distribution, task)
        sharding.store(distribution, task, shards)
    _check_watched(request, task)  # before anything is compiled: it may take minutes
    state = [*task.readable(), rate_scale]
    train = evaluate = None
    if is_for_training:
        train = _loop(request, distribution, task, state, info.train, shards=shards, training=True)
    if info.evaluation:
        evaluate = _loop(
            request, distribution, task, state, info.evaluation, shards=shards, training=False
        )
    loop = train or evaluate
    assert loop is not None  # noqa: S101 - one of both is asked for
    hashes = make_hashes(distribution, task.state(), shards)
    samples = make_samples(task)
    return Session(
        request,
        distribution,
        task,
        loop,
        evaluate,
        hashes,
        shards,
        sharding.make_read(distribution, shards),
        rate_scale,
        samples,
    )


def _loop(
    request: Request,
    distribution: tf.distribute.Strategy,
    task: Task,
    state: Sequence[keras.Variable],
    split: Split,
    *,
    shards: Shards,
    training: bool,
) -> InnerLoop:
    """Join the step to the input pipeline of its examples."""
    config, info, plan = request.config, request.info, request.plan
    compiled = config.execution == "xla_loop"
    # Evaluation has no seed: every example once, as stored, and nothing augmented.
    seed = config.seed if training else None
    pipeline = make_pipeline(
        distribution,
        info,
        config.dataset,
        split=split,
        seed=seed,
        batch_size=plan.batch_size,
        microbatch_size=plan.microbatch_size,
        num_steps=plan.total_steps if training else plan.eval_steps,
        stage=request.placement.stage,
        compiled=compiled,
        num_processes=request.placement.cluster.num_on_host,
        log_examples=request.log_examples if training else "",
    )
    make_step = make_train_step if training else make_eval_step
    step_fn = make_step(task, dataclasses.replace(build.step_plan(config), shards=shards))
    # XLA has a deterministic kernel for all that it compiles; TensorFlow has not, on a GPU.
    if config.execution == "graph" and strategy.uses_gpu():
        step_fn = gpu_kernels.checked(step_fn)
    # Augmentations are the user's code as well as the step is.
    augment = preprocess.make_preprocess(info.features, config.augment, seed=seed)
    return InnerLoop(
        distribution,
        audit.audited(step_fn, state),
        pipeline,
        audit.audited(augment, state),
        microbatches_per_replica=config.virtual_replicas // distribution.num_replicas_in_sync,
        zero=zero_sums(task, training=training),
        compiled=compiled,
    )


def _shards(config: TrainConfig, distribution: tf.distribute.Strategy, task: Task) -> Shards:
    """Return what is sharded: on a TPU nothing, whose replicas are one program."""
    is_asked = config.optimizer_state == "sharded"
    if not is_asked or isinstance(distribution, tf.distribute.TPUStrategy):
        return Shards()
    return sharding.make_shards(task, distribution.num_replicas_in_sync)


def _check_watched(request: Request, task: Task) -> None:
    """Refuse the name of a metric that no evaluation will give."""
    config, info = request.config, request.info
    watched = {
        "plateau.metric": config.plateau.metric,
        "stop.metric": config.stop.metric,
        "keep_best_metric": config.keep_best_metric,
    }
    asked = {field: name for field, name in watched.items() if name}
    if not asked:
        return
    allowed = ["loss", *metric_states.value_names(task.metrics)] if info.evaluation else []
    for field, name in asked.items():
        if name not in allowed:
            shown = [*allowed[:_MOST_NAMES], "..."] if len(allowed) > _MOST_NAMES else allowed
            why = f"allowed: {', '.join(shown)}" if allowed else "there is no evaluation split"
            raise RunError(ExitCode.BAD_CONFIG, f"config.{field}={name!r} is not evaluated; {why}")


def refuse_several(flag: str, num_replicas: int) -> None:
    """Refuse more than one replica for a flag that looks into the step of one.

    Raises:
        RunError: BAD_FLAG.
    """
    if num_replicas > 1:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--{flag} is for one replica, and there are {num_replicas}: use --strategy=cpu, or "
            "let it see one GPU (CUDA_VISIBLE_DEVICES=0); the numbers do not depend on it",
        )


def _check_replicas(request: Request, num_replicas: int) -> None:
    """Refuse replicas that cannot share the microbatches, the one program, or the kernels."""
    microbatches_per_replica(request.config.virtual_replicas, num_replicas)
    if request.debug_nan:
        refuse_several("debug_nan", num_replicas)
    if request.config.execution == "xla_loop" and num_replicas > 1:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.execution='xla_loop' compiles the whole loop for one device, and there are "
            f"{num_replicas} replicas; use xla_step or graph",
        )
    if request.config.kernels == "portable" and strategy.uses_accelerator():
        raise RunError(
            ExitCode.BAD_CONFIG,
            "config.kernels=portable is about processors, and this run computes on an accelerator; "
            "add --strategy=cpu, or leave it native",
        )
