"""A loss over the whole global batch, in two passes of every microbatch.

The first pass embeds the examples. The loss and its gradient by the embeddings are computed on the
whole batch, on every replica alike. The second pass embeds again, with the same random numbers, and
takes the rows of that gradient back to the variables. So no replica ever holds what is between the
examples and the embeddings for more than one microbatch.

Source: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021,
section 3.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine.virtual_replica import (
    Inputs,
    MicrobatchFn,
    Outputs,
    Scale,
    VirtualReplicaState,
    gradients,
    summed_gradient_fn,
    weighted,
)
from trainer.task import (
    BatchLossFn,
    Microbatch,
    PerExampleFn,
    Task,
    Variables,
    weights_in_use,
)


def per_example_fn(task: Task, fn: PerExampleFn, *, hashed: bool) -> MicrobatchFn:
    """Return a function of a microbatch: "made" by `fn`, "weights", "moving", and "sums"."""
    state = VirtualReplicaState(task)

    def microbatch_made(values: list[tf.Tensor], inputs: Inputs, step: tf.Tensor) -> Outputs:
        batch, weights, key = inputs
        with state.scope(values, key, hashed=hashed) as scope:
            made, weights = _made(task, fn, Microbatch(batch, weights, step, key))
        sums = state.counted(scope)
        return {
            "made": made, "weights": weights, "moving": state.moved(scope, values), "sums": sums
        }  # fmt: skip

    return microbatch_made


def batch_loss_fn(
    task: Task,
    loss_fn: BatchLossFn,
    trained: Variables,
    like: Any,
    *,
    hashed: bool,
    scale: Scale = 1.0,
) -> MicrobatchFn:
    """Return the function of a global batch, as of a microbatch whose features are embeddings.

    It returns what `summed_gradient_fn` does, and "rows": the gradient, not scaled, by each float
    embedding.

    Args:
        task: whose state it may use.
        loss_fn: see `task.BatchLossFn`.
        trained: variables by which the gradient is taken, too.
        like: the structure of the embeddings, which arrive as a list.
        hashed: see `VirtualReplicaState.scope`.
        scale: factor on the loss of which the gradients are.
    """
    state = VirtualReplicaState(task)

    def batch_gradient(values: list[tf.Tensor], inputs: Inputs, step: tf.Tensor) -> Outputs:
        del step
        flat, weights, key = inputs
        embeddings, watched = floats(flat), state.of(trained, values)
        with state.scope(values, key, hashed=hashed) as scope:
            with tf.GradientTape(watch_accessed_variables=False) as scope.tape:
                scope.tape.watch([*embeddings, *watched])
                loss = _summed(loss_fn(tf.nest.pack_sequence_as(like, flat)), weights)
                scaled = loss if isinstance(scale, float) else loss * scale
            grads, rows = gradients(scope, scaled, trained, watched, embeddings)
        pairs = zip(embeddings, rows, strict=True)
        if scope.losses:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{scope.loss_lines[0]}: add_loss in the loss of a batch; add the term to what the "
                "loss returns",
            )
        return {
            "rows": [tf.zeros_like(e) if r is None else r / scale for e, r in pairs],
            "grads": grads,
            "moving": state.moved(scope, values),
            "sums": {"loss": loss, **state.counted(scope)},
        }

    return batch_gradient


def second_pass_fn(
    task: Task, embed_fn: PerExampleFn, trained: Variables, *, hashed: bool, scale: Scale = 1.0
) -> MicrobatchFn:
    """Return the function of a microbatch that is given its rows of the gradient, too.

    It returns what `summed_gradient_fn` does; of the loss it knows the penalty alone.
    """

    def summed(given: Microbatch, rows: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        made, weights = _made(task, embed_fn, given)
        products = [tf.reduce_sum(e * g) for e, g in zip(floats(made), rows, strict=True)]
        total = tf.add_n(products)
        # Its gradient is the one that is wanted; its value is no loss.
        return total - tf.stop_gradient(total), tf.reduce_sum(weights)

    return summed_gradient_fn(task, summed, trained, hashed=hashed, scale=scale)


def floats(structure: Any) -> list[tf.Tensor]:
    """Return what has a gradient of what is embedded, in order."""
    return [x for x in tf.nest.flatten(structure) if x.dtype.is_floating]


def _made(task: Task, fn: PerExampleFn, given: Microbatch) -> tuple[Any, tf.Tensor]:
    """Return what the user's function makes of a microbatch, and what each example counts."""
    microbatch = weighted(task, given)
    with weights_in_use(microbatch.weights):
        made = fn(microbatch)
    num_examples = given.weights.shape[0]
    return tf.nest.map_structure(lambda x: _one_each(x, num_examples), made), microbatch.weights


def _one_each(value: Any, num_examples: int) -> tf.Tensor:
    tensor = tf.zeros([]) if value is None else tf.convert_to_tensor(value)
    if tensor.shape[:1] != [num_examples] or tensor.dtype == tf.string:
        raise RunError(
            ExitCode.BAD_CONFIG,
            "config.task: what is gathered is "
            f"{value if value is None else f'{tensor.dtype.name}{list(tensor.shape)}'}; allowed: "
            f"[{num_examples}, ...], numbers for each example of the microbatch",
        )
    return tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor


def _summed(losses: Any, weights: tf.Tensor) -> tf.Tensor:
    """Return the sum of weight times loss over the batch; a mean counts once for each example."""
    shape = getattr(losses, "shape", None)
    if shape is None or (shape.rank != 0 and shape != weights.shape):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.task: the loss of a batch has the shape {shape}; allowed: "
            f"float[{weights.shape[0]}], one value per example, or a mean, float[]",
        )
    return tf.reduce_sum(tf.cast(losses, tf.float32) * weights)


def refuse_moved_twice(task: Task, *moved: Mapping[int, tf.Tensor]) -> None:
    """Refuse state that both passes assign: the index in `VirtualReplicaState.carried` is in both.

    Raises:
        RunError: BAD_CONFIG naming the variable.
    """
    for index in set.intersection(*map(set, moved)):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.task: {VirtualReplicaState(task).carried[index].path} is assigned by the "
            "microbatches and by the loss of the whole batch; use its layer in one of the two",
        )
