"""One virtual replica as a pure function: state and a microbatch's examples in, sums out."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine.custom_gradients import reading_only_arguments
from trainer.engine.hashed_random import hashed_dropout, hashed_seeds
from trainer.engine.inlined import functions_inlined
from trainer.engine.rematerialization import rematerializing
from trainer.engine.scopes import SEED, MicrobatchScope, philox_seeds, unseeded_draws
from trainer.losses.shapes import WeightedLosses
from trainer.ownership import named_variables, rules
from trainer.task import LossFn, Microbatch, Task, Variables, weights_in_use

Inputs = tuple[Any, ...]
"""Features, weights, the key, and what else a function of a microbatch is given."""
Outputs = dict[str, Any]
MicrobatchFn = Callable[[list[tf.Tensor], Inputs, tf.Tensor], Outputs]
Scale: TypeAlias = tf.Tensor | float
SummedLoss = Callable[..., tuple[tf.Tensor, tf.Tensor]]
"""(microbatch, what else it is given) -> summed loss and summed weight, both float32[]."""


class VirtualReplicaState:
    """The variables of a task, sorted by what a microbatch does with them.

    Attributes:
        carried: read by every microbatch as they stood before the step.
        seeds: states of seed generators; set anew for every microbatch, so never carried.
        counters: metric states; every microbatch starts from zero, and their states are added up.
        rules: id of a variable -> how it may change (`ownership.Rule`).
    """

    def __init__(self, task: Task) -> None:
        owned = dict(task.owned())
        variables = dict(v for name, part in owned.items() for v in named_variables(name, part))
        distinct = {id(v): v for v in variables.values()}.values()
        seeds = [v for v in distinct if v.path.endswith(SEED)]
        self.carried = [v for v in distinct if not v.path.endswith(SEED)]
        self.seeds = [*seeds, task.unseeded.state]
        self.rules = {k: rule for part in owned.values() for k, rule in rules(part).items()}
        self.counters = {
            f"metric/{name}/{index}": variable
            for name, metric in task.metrics.items()
            for index, variable in enumerate(metric.variables)
        }
        self._unseeded = task.unseeded

    @contextlib.contextmanager
    def scope(
        self, values: Sequence[tf.Tensor], key: tf.Tensor, *, hashed: bool
    ) -> Iterator[MicrobatchScope]:
        """Open the scope in which a microbatch runs: carried `values`, own seeds, metrics at zero.

        Args:
            values: one tensor for each of `carried`.
            key: int64[2], unique to the microbatch.
            hashed: take the seeds, and the units that are dropped, from a hash.
        """
        # A seed state that was carried on would depend on which microbatch ran before.
        seeds = hashed_seeds(key, len(self.seeds)) if hashed else philox_seeds(key, len(self.seeds))
        mapping = list(zip(self.carried, values, strict=True))
        mapping += [(v, tf.cast(seeds[i], v.dtype)) for i, v in enumerate(self.seeds)]
        mapping += [(v, tf.zeros(v.shape, v.dtype)) for v in self.counters.values()]
        opened = MicrobatchScope(mapping, self.rules, in_program=hashed)
        dropout = hashed_dropout() if hashed else contextlib.nullcontext()
        trained = {v.path: x for v, x in mapping if self.rules.get(id(v)) == "trained"}
        with (
            dropout,
            unseeded_draws(self._unseeded),
            functions_inlined(),
            reading_only_arguments(trained),
            opened,
            rematerializing(opened),
        ):
            yield opened

    def of(self, variables: Variables, values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return which of `values`, one for each of `carried`, stand for the variables."""
        current = {id(v): x for v, x in zip(self.carried, values, strict=True)}
        return [current[id(v)] for v in variables]

    def counted(self, scope: MicrobatchScope) -> dict[str, tf.Tensor]:
        """Return what the microbatch added to each metric state."""
        return {name: scope.get_current_value(v) for name, v in self.counters.items()}

    def moved(self, scope: MicrobatchScope, values: Sequence[tf.Tensor]) -> dict[int, tf.Tensor]:
        """Return what the microbatch proposes: index in `carried` -> value, where it assigned one.

        Of a variable that is summed it is what the microbatch added.
        """
        proposed = {}
        for index, (variable, old) in enumerate(zip(self.carried, values, strict=True)):
            new = scope.get_current_value(variable)
            if new is not old and scope.was_assigned(variable):
                is_sum = self.rules[id(variable)] == "sum"
                proposed[index] = new - old if is_sum else new
        return proposed

    def settle(self, moved: Mapping[int, tf.Tensor], num_microbatches: int) -> None:
        """Assign what all microbatches together made of the state, from their summed proposals."""
        for index, total in moved.items():
            variable = self.carried[index]
            if self.rules[id(variable)] == "sum":
                variable.assign_add(total)
            else:
                variable.assign(total / num_microbatches)


def gradient_fn(
    task: Task, loss_fn: LossFn, trained: Variables, *, hashed: bool, scale: Scale = 1.0
) -> MicrobatchFn:
    """Return the function of a microbatch in training; see `summed_gradient_fn`."""

    def summed(given: Microbatch) -> tuple[tf.Tensor, tf.Tensor]:
        losses, counts = asked(task, loss_fn, given)
        return tf.reduce_sum(losses * counts), tf.reduce_sum(counts)

    return summed_gradient_fn(task, summed, trained, hashed=hashed, scale=scale)


def summed_gradient_fn(
    task: Task, summed: SummedLoss, trained: Variables, *, hashed: bool, scale: Scale = 1.0
) -> MicrobatchFn:
    """Return a function of a microbatch.

    It returns sums over its examples, never means: "grads" (index in `trained` -> gradient, of
    those that the loss depends on), "moving", and "sums" with "loss", "weight" and the metric
    states.

    Args:
        task: whose state it may use.
        summed: its loss.
        trained: variables by which the gradient is taken.
        hashed: see `VirtualReplicaState.scope`.
        scale: factor on the loss of which the gradients are.
    """
    state = VirtualReplicaState(task)

    def microbatch_gradient(values: list[tf.Tensor], inputs: Inputs, step: tf.Tensor) -> Outputs:
        batch, weights, key, *more = inputs
        watched = state.of(trained, values)
        with state.scope(values, key, hashed=hashed) as scope:
            # In the scope a variable is the tensor of `values`: only tensors are there to watch.
            with tf.GradientTape(watch_accessed_variables=False) as scope.tape:
                scope.tape.watch(watched)
                loss, weight = summed(Microbatch(batch, weights, step, key), *more)
                # A penalty belongs to the mean loss. Times the weight here, divided by the sum of
                # all weights later, it is added once however many microbatches there are.
                loss += task.penalty(trained) * weight
                scaled = loss if isinstance(scale, float) else loss * scale
            grads, _ = gradients(scope, scaled, trained, watched)
        return {
            "grads": grads,
            "moving": state.moved(scope, values),
            "sums": {"loss": loss, "weight": weight, **state.counted(scope)},
        }

    return microbatch_gradient


def gradients(
    scope: MicrobatchScope,
    loss: tf.Tensor,
    trained: Variables,
    watched: Sequence[tf.Tensor],
    others: Sequence[tf.Tensor] = (),
) -> tuple[dict[int, tf.Tensor], list[tf.Tensor | None]]:
    """Take the gradients of a microbatch from its tape, in its scope: they may read variables.

    Returns:
        Index in `trained` -> gradient, of those that the loss depends on; and those by `others`.
    """
    # A weight that its layer replaces in every call has several values, and the gradients of all.
    values_of = [[w, *scope.replacements(v)] for v, w in zip(trained, watched, strict=True)]
    tape: tf.GradientTape = scope.tape
    by_value, by_other = tape.gradient(loss, [values_of, list(others)])
    connected = {
        i: [tf.convert_to_tensor(g) for g in gs if g is not None] for i, gs in enumerate(by_value)
    }
    return {i: tf.add_n(gs) for i, gs in connected.items() if gs}, by_other


def map_microbatches(
    microbatch_fn: MicrobatchFn,
    values: list[tf.Tensor],
    inputs: Inputs,
    step: tf.Tensor,
    *,
    compiled: bool,
) -> Outputs:
    """Run `microbatch_fn` on k microbatches one after another, traced once whatever k is.

    Outside of any graph it is not traced at all, but run.

    Args:
        microbatch_fn: pure function of one microbatch.
        values: carried state, the same for all microbatches.
        inputs: tensors [k, ...].
        step: int64 scalar.
        compiled: make the microbatch one XLA program.

    Returns:
        The outputs of `microbatch_fn`, stacked: tensors [k, ...].
    """
    if tf.executing_eagerly():  # `--debug`: each microbatch is Python that runs, nothing is traced
        rows = [
            microbatch_fn(values, tf.nest.map_structure(lambda x, v=v: x[v], inputs), step)
            for v in range(inputs[1].shape[0])
        ]
        return tf.nest.map_structure(lambda *one: tf.stack(one), *rows)
    # One function for k = 1 and k > 1, so that both run the same program, and with it its rounding.
    one = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs)
    call = tf.function(
        microbatch_fn, jit_compile=compiled or None, autograph=False
    ).get_concrete_function(
        [tf.TensorSpec(x.shape, x.dtype) for x in values], one, tf.TensorSpec([], step.dtype)
    )
    if inputs[1].shape[0] == 1:
        only = call(values, tf.nest.map_structure(lambda x: x[0], inputs), step)
        return tf.nest.map_structure(lambda x: x[tf.newaxis], only)
    signature = tf.nest.map_structure(tf.TensorSpec.from_tensor, call.structured_outputs)
    return tf.map_fn(
        lambda microbatch: call(values, microbatch, step), inputs, fn_output_signature=signature
    )


def asked(task: Task, loss_fn: LossFn, given: Microbatch) -> tuple[tf.Tensor, tf.Tensor]:
    """Ask for the losses of a microbatch.

    Args:
        task: says what each example counts (`Task.example_weights`).
        loss_fn: see `task.LossFn`.
        given: with weights of 1, and 0 for padding.

    Returns:
        The losses, float32[b], and what each of them counts in their mean, float32[b].

    Raises:
        RunError: BAD_CONFIG for a loss or weights of another shape.
    """
    num_examples = given.weights.shape
    microbatch = weighted(task, given)
    weights = microbatch.weights
    with weights_in_use(weights):
        losses = loss_fn(microbatch)
    if isinstance(losses, WeightedLosses):
        weights = weights * _one_each(losses.counts, num_examples, "what the loss counts")
        losses = losses.values
    return _one_each(losses, num_examples, "the loss"), weights


def weighted(task: Task, given: Microbatch) -> Microbatch:
    """Return the microbatch with what each example counts, `Task.example_weights`."""
    weights = task.example_weights(given)
    if weights is not given.weights:
        weights = _one_each(weights, given.weights.shape, "example_weights")
    return dataclasses.replace(given, weights=weights)


def _one_each(values: Any, shape: tf.TensorShape, what: str) -> tf.Tensor:
    """Return float32[b], or refuse what is not one number for each example."""
    wanted = f"one value per example, float[{shape[0]}]"
    if values is None:
        raise RunError(ExitCode.BAD_CONFIG, f"{what} returned None; return {wanted}")
    if tf.nest.is_nested(values):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{what} returned {type(values).__name__} of {len(values)}; return {wanted}, the sum "
            "of the losses of all outputs",
        )
    values = tf.cast(values, tf.float32)
    if values.shape.rank == 0:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{what} returned a scalar: a mean over a microbatch depends on how the batch is cut; "
            f"return {wanted} (no reduce_mean)",
        )
    if not values.shape.is_compatible_with(shape):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{what} has shape {list(values.shape)}; allowed: {wanted}; sum or average over the "
            "other axes",
        )
    # What passed through Python strings or a lookup may not know any more how many there are.
    return values if values.shape == shape else tf.ensure_shape(values, shape)
