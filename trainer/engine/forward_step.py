"""Microbatches that are seen without training, in evaluation and for predictions."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine import sharded_update
from trainer.engine.reduction import reduced
from trainer.engine.step import MAX_CALLS, Microbatches, StepPlan, Sums
from trainer.engine.virtual_replica import (
    Inputs,
    MicrobatchFn,
    Outputs,
    VirtualReplicaState,
    asked,
    map_microbatches,
)
from trainer.task import Microbatch, Task


def make_eval_step(task: Task, plan: StepPlan) -> Callable[[Microbatches], Sums]:
    """Return the function that one physical replica runs to evaluate one padded batch."""
    evaluate = _forward(task, plan, eval_fn)
    return lambda microbatches: reduced(evaluate(microbatches), plan.reduction)["sums"]


def make_predict_step(task: Task, plan: StepPlan) -> Callable[[Microbatches], Sums]:
    """Return the function of one padded batch that makes predictions: name -> [k, b, ...].

    It runs the microbatches as those of an evaluation, with the same random numbers.
    """
    return _forward(task, plan, predict_fn)


def _forward(
    task: Task, plan: StepPlan, make_fn: Callable[..., MicrobatchFn]
) -> Callable[[Microbatches], Outputs]:
    """Return the function from microbatches to what `make_fn` makes of them; nothing is written."""

    def forward(microbatches: Microbatches) -> Outputs:
        carried = VirtualReplicaState(task).carried
        evaluated = [task.average.of(v) for v in carried] if task.average else carried
        return map_microbatches(
            make_fn(task, hashed=plan.is_compiled),
            sharded_update.whole(plan.shards, evaluated),
            microbatches.inputs(plan, MAX_CALLS - 1),  # a stream that no gradient draws from
            microbatches.step,
            compiled=plan.execution == "xla_step",
        )

    return forward


def eval_fn(task: Task, *, hashed: bool) -> MicrobatchFn:
    """Return the function of a microbatch in evaluation: only "sums", as in `gradient_fn`."""
    state = VirtualReplicaState(task)

    def microbatch_eval(values: list[tf.Tensor], inputs: Inputs, step: tf.Tensor) -> Outputs:
        batch, weights, key = inputs
        with state.scope(values, key, hashed=hashed) as scope:
            given = Microbatch(batch, weights, step, key)
            losses, counts = asked(task, task.eval_step, given)
        for index in state.moved(scope, values):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"evaluation assigns {state.carried[index].path}: how often a run is evaluated "
                "must not change what it computes; assign it where training=True only",
            )
        weight = tf.reduce_sum(counts)
        # A padded example may have any loss, even an infinite one: leave it out, do not scale it.
        loss = tf.reduce_sum(tf.where(counts > 0, losses * counts, 0.0))
        return {"sums": {"loss": loss, "weight": weight, **state.counted(scope)}}

    return microbatch_eval


def predict_fn(task: Task, *, hashed: bool) -> MicrobatchFn:
    """Return the function of a microbatch that makes predictions, name -> [b, ...]."""
    state = VirtualReplicaState(task)

    def microbatch_predict(values: list[tf.Tensor], inputs: Inputs, step: tf.Tensor) -> Outputs:
        batch, weights, key = inputs
        with state.scope(values, key, hashed=hashed):
            made = task.predict_step(Microbatch(batch, weights, step, key))
        return {name: _predicted(x, weights.shape[0]) for name, x in _named(made).items()}

    return microbatch_predict


def _named(made: Any) -> dict[str, Any]:
    """Name predictions: those of a list as a SavedModel names its outputs."""
    if isinstance(made, Mapping):
        return {str(name): value for name, value in made.items()}
    if isinstance(made, list | tuple):
        return {f"output_{index}": value for index, value in enumerate(made)}
    return {"outputs": made}


def _predicted(values: Any, size: int) -> tf.Tensor:
    """Return [b, ...] in a dtype that files have; what is no row for each example is refused."""
    if not isinstance(values, tf.Tensor) or values.shape.rank in (None, 0):
        raise TypeError(f"predict_step returned {type(values).__name__}; return tensors [b, ...]")
    if values.dtype.is_floating and values.dtype.size < tf.float32.size:
        values = tf.cast(values, tf.float32)
    return tf.ensure_shape(values, [size, *values.shape[1:]])
