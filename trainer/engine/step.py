"""One training step: microbatches, reduction, update, and the write-back of its result."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import ownership
from trainer.engine import scopes, sharded_update, virtual_replica, whole_batch
from trainer.engine.gathering import of_all_examples, of_own_examples
from trainer.engine.optimizer import Kept, check_update, choose, role_of, update
from trainer.engine.reduction import Reduction, global_norm, reduced
from trainer.engine.sharding import Shards
from trainer.task import BatchLossFn, Gradients, LossFn, PerExampleFn, Task, Variables

Execution = Literal["graph", "xla_step", "xla_loop"]
Sums = dict[str, tf.Tensor]
MAX_CALLS = 64
"""Keys that a step has, one for each gradient and the last for evaluation."""


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """How a step is cut; the same on every replica.

    Attributes:
        seed: of the run.
        virtual_replicas: V.
        reduction: order of the sums over replicas.
        execution: how a microbatch is compiled.
        clip_norms: optimizer role -> largest global gradient norm; absent: not clipped.
        shards: what state exists once over all replicas.
    """

    seed: int
    virtual_replicas: int
    reduction: Reduction
    execution: Execution
    clip_norms: Mapping[str, float]
    shards: Shards = dataclasses.field(default_factory=Shards)

    @property
    def is_compiled(self) -> bool:
        """Whether XLA computes the microbatches."""
        return self.execution != "graph"

    def stream(self, call: int) -> tf.Tensor:
        """Return the int64 scalar that tells apart the random numbers of seeds and calls."""
        return tf.constant(self.seed * MAX_CALLS + call, tf.int64)


@dataclasses.dataclass(frozen=True)
class Microbatches:
    """The k = V / R microbatches of one physical replica, in order.

    Attributes:
        batch: feature -> [k, b, ...].
        weights: float32[k, b].
        first: int64 scalar, number of the first of these microbatches.
        step: int64 scalar.
    """

    batch: Mapping[str, tf.Tensor]
    weights: tf.Tensor
    first: tf.Tensor
    step: tf.Tensor

    def inputs(self, plan: StepPlan, call: int) -> virtual_replica.Inputs:
        """Give every microbatch the key of its random numbers: (seed and call, step and index).

        Nothing of the replica or the host is in it, so a microbatch draws the same numbers wherever
        it runs, and after a restart.
        """
        numbers = self.first + tf.range(self.weights.shape[0], dtype=tf.int64)
        place = self.step * plan.virtual_replicas + numbers
        stream = tf.fill(place.shape, plan.stream(call))
        return dict(self.batch), self.weights, tf.stack([stream, place], axis=1)


class ReplicaStep:
    """One step on one physical replica; what `Task.train_step` works with."""

    def __init__(self, task: Task, plan: StepPlan, microbatches: Microbatches) -> None:
        self._task = task
        self._plan = plan
        self._microbatches = microbatches
        self._num_calls = 0
        self.sums: Sums = {}
        self.accepted = tf.constant(True)
        self._norms: dict[str, list[tf.Tensor]] = {}
        self._kept: Kept = {}
        self._always: set[int] = set()

    def gradient(self, loss_fn: LossFn, variables: Variables) -> list[tf.Tensor | None]:
        """See `task.Replica`; also counts the metrics and moves the BatchNorm statistics.

        Raises:
            RunError: BAD_CONFIG for more gradients in a step than there are keys.
        """
        (inputs,) = self._inputs_of_calls(1)
        fn = virtual_replica.gradient_fn(
            self._task, loss_fn, variables, hashed=self._plan.is_compiled, scale=self._scale()
        )
        total = reduced(self._map(fn, inputs), self._plan.reduction)
        self._settle(total, self._plan.virtual_replicas)
        return self._means(total["grads"], total["sums"]["weight"], variables)

    def gradient_of_batch(
        self, embed_fn: PerExampleFn, batch_loss_fn: BatchLossFn, variables: Variables
    ) -> list[tf.Tensor | None]:
        """See `task.Replica`; the state that `embed_fn` moves is written by the second pass alone.

        Raises:
            RunError: as of `gradient`; it needs two of the keys.
        """
        inputs, of_batch = self._inputs_of_calls(2)
        hashed = self._plan.is_compiled
        first = self._map(whole_batch.per_example_fn(self._task, embed_fn, hashed=hashed), inputs)
        embeddings, weights = of_all_examples(first["made"]), of_all_examples(first["weights"])
        fn = whole_batch.batch_loss_fn(
            self._task, batch_loss_fn, variables, embeddings, hashed=hashed, scale=self._scale()
        )
        key = tf.stack([of_batch[2][0, 0], self._microbatches.step])
        as_one = (tf.nest.flatten(embeddings), weights, key)
        made = self._map(fn, tf.nest.map_structure(lambda x: x[tf.newaxis], as_one))
        made = tf.nest.map_structure(lambda x: x[0], made)
        second = whole_batch.second_pass_fn(
            self._task, embed_fn, variables, hashed=hashed, scale=self._scale()
        )
        size = self._microbatches.weights.shape
        own = [of_own_examples(x, self._microbatches.first, size) for x in made["rows"]]
        rows = self._map(second, (*inputs, own))
        total = reduced(rows, self._plan.reduction)
        whole_batch.refuse_moved_twice(self._task, total["moving"], made["moving"])
        self._settle(total, self._plan.virtual_replicas)
        self._settle(made, 1)
        grads = {**total["grads"], **made["grads"]}
        grads |= {i: total["grads"][i] + g for i, g in made["grads"].items() if i in total["grads"]}
        return self._means(grads, total["sums"]["weight"], variables)

    def gather(self, fn: PerExampleFn) -> Any:
        """See `task.Replica`; what `fn` moves is joined, and its metrics are counted."""
        (inputs,) = self._inputs_of_calls(1)
        made = whole_batch.per_example_fn(self._task, fn, hashed=self._plan.is_compiled)
        rows = self._map(made, inputs)
        whole = of_all_examples(rows["made"])
        total = reduced({name: rows[name] for name in ("moving", "sums")}, self._plan.reduction)
        self._settle(total, self._plan.virtual_replicas)
        return whole

    def apply(self, optimizer: keras.optimizers.Optimizer, grads: Gradients, to: Variables) -> None:
        """See `task.Replica`; a norm that is not finite leaves the whole step out."""
        role = role_of(optimizer, self._task.optimizers)
        # As in Keras: a weight without a gradient is not updated, nor decayed.
        to = [v for g, v in zip(grads, to, strict=True) if g is not None]
        present = [g for g in grads if g is not None]
        check_update(role, optimizer, to)
        # After the reduction: `clipnorm` of Keras clips what one replica has, and a sum of clipped
        # gradients is not the clipped sum.
        norm = global_norm(present, in_program=self._plan.execution == "xla_loop")
        self._norms.setdefault(role, []).append(norm)
        self.accepted &= tf.math.is_finite(norm)
        if (limit := self._plan.clip_norms.get(role)) is not None:
            scale = limit / tf.maximum(norm, limit)
            present = [g * tf.cast(scale, g.dtype) for g in present]
        if self._plan.shards.updated:
            kept = sharded_update.update(self._plan.shards, optimizer, present, to, self.accepted)
        else:
            kept = update(optimizer, present, to, self.accepted)
        self._kept |= kept

    def settled(self, value: tf.Tensor, variable: keras.Variable) -> tf.Tensor:
        """Return the new value of a variable if the whole step is accepted, else the old one.

        What an optimizer wrote under the same condition is that already. It has to be chosen there:
        the update of a weight reads the new slots, and XLA copies the old ones if it needs both.
        """
        done = self._kept.get(id(value), (None, None))[1] is self.accepted
        if done or id(variable) in self._always:
            return value
        return choose(self.accepted, value, variable.value)

    def set_scale(self) -> None:
        """Change the loss scale by whether the step is finite; it is written in any case."""
        if guard := self._task.loss_scale:
            self._add({"loss_scale": guard.value()})
            guard.update(self.accepted)
            self._always = {id(v) for _, v in guard.state()}

    def judge_loss(self) -> None:
        """Leave the whole step out if its loss is a spike."""
        if (guard := self._task.loss_spike) is None:
            return
        loss = self.sums["loss"] / self.sums["weight"]
        spike = self.accepted & guard.is_spike(loss)
        guard.update(loss)
        self.accepted &= ~spike
        self._add({"spike": tf.cast(spike, tf.float32)})

    def norms(self) -> Sums:
        """Return the norm of every role's gradient, the mean where it was applied several times."""
        return {f"gradient_norm/{r}": tf.add_n(n) / len(n) for r, n in self._norms.items()}

    def count(self, scope: scopes.StepScope) -> None:
        """Count what `train_step` gave to metrics, in its scope: the same on every replica."""
        counters = virtual_replica.VirtualReplicaState(self._task).counters
        updated = {name: v for name, v in counters.items() if scope.was_updated(v)}
        self._add({name: scope.get_current_value(v) for name, v in updated.items()})

    def _inputs_of_calls(self, count: int) -> list[virtual_replica.Inputs]:
        """Return the inputs of the next calls, each with keys of its own."""
        _check_calls(self._num_calls + count)
        numbers = range(self._num_calls, self._num_calls + count)
        self._num_calls += count
        return [self._microbatches.inputs(self._plan, number) for number in numbers]

    def _map(
        self, fn: virtual_replica.MicrobatchFn, inputs: virtual_replica.Inputs
    ) -> virtual_replica.Outputs:
        state = virtual_replica.VirtualReplicaState(self._task)
        return virtual_replica.map_microbatches(
            fn,
            [tf.convert_to_tensor(v.value) for v in state.carried],
            inputs,
            self._microbatches.step,
            compiled=self._plan.execution == "xla_step",
        )

    def _settle(self, total: virtual_replica.Outputs, num_microbatches: int) -> None:
        """Assign what the microbatches made of the state, and count their sums."""
        # Every microbatch moved the same statistics by its own batch. Their mean, in the order of
        # the tree, is what no number of replicas can change.
        state = virtual_replica.VirtualReplicaState(self._task)
        state.settle(total["moving"], num_microbatches)
        self._add(total["sums"])
        # A loss may be finite although the statistics overflowed on the way to it.
        checked = [total["sums"]["loss"]] if "loss" in total["sums"] else []
        checked += [tf.reduce_sum(tf.cast(x, tf.float32)) for x in total["moving"].values()]
        if checked:
            self.accepted &= tf.math.is_finite(tf.add_n(checked))

    def _scale(self) -> virtual_replica.Scale:
        """Return the factor on the summed loss of which gradients are taken, float32[]."""
        if (guard := self._task.loss_scale) is None:
            return 1.0
        # The scale is one of the mean loss: of the sum it would overflow from the first step on.
        # By a power of two, which rounds nothing.
        num_examples = self._plan.virtual_replicas * self._microbatches.weights.shape[1]
        return guard.value() / 2.0 ** (num_examples - 1).bit_length()

    def _means(
        self, grads: Mapping[int, tf.Tensor], weight: tf.Tensor, variables: Variables
    ) -> list[tf.Tensor | None]:
        """Divide summed gradients by scale and weight of the whole batch; None where is none."""
        # A product with one number is folded into whatever reads it; a quotient is stored first.
        share = 1.0 / (weight * self._scale())
        means = {i: g * tf.cast(share, g.dtype) for i, g in grads.items()}
        return [means.get(i) for i in range(len(variables))]

    def _add(self, sums: Sums) -> None:
        for name, value in sums.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value


def make_train_step(task: Task, plan: StepPlan) -> Callable[[Microbatches], Sums]:
    """Return the function that one physical replica runs for one step; it returns sums.

    The task runs inside `keras.StatelessScope`: whatever it assigns is only recorded, until it is
    known that every loss, gradient and statistic is finite. Then all is written, or nothing.
    """

    def train_step(microbatches: Microbatches) -> Sums:
        step = ReplicaStep(task, plan, microbatches)
        # Places of evaluation, whose stream this is, begin at 0.
        place = tf.stack([plan.stream(MAX_CALLS - 1), -1 - microbatches.step])
        with scopes.step_scope(task, place) as scope:
            with ownership.unchanged_numbers(task):
                task.train_step(step)
            step.count(scope)
            step.set_scale()
            step.judge_loss()
            if task.average and plan.shards.stored:
                sharded_update.update_average(plan.shards, task.average, microbatches.step)
            elif task.average:
                task.average.update(microbatches.step)
        recorded = [(v, scope.get_current_value(v)) for v in task.state().values()]
        changed = [(v, x) for v, x in recorded if x is not None]
        _write([(v.value, step.settled(x, v)) for v, x in changed])
        return {**step.sums, **step.norms(), "skipped": 1.0 - tf.cast(step.accepted, tf.float32)}

    return train_step


def _check_calls(count: int) -> None:
    """Refuse a gradient whose random numbers would be those of evaluation or of another seed."""
    if count >= MAX_CALLS:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.task: it asks for {count} gradients in one step; allowed: at most "
            f"{MAX_CALLS - 1}, for each has random numbers of its own; make fewer, or more steps",
        )


def _write(values: list[tuple[tf.Variable, tf.Tensor]]) -> None:
    # A mirrored variable is written by all replicas together. One call for all variables: at each
    # the threads that trace the replicas wait for each other.
    variables = [v for v, _ in values]

    def update(strategy: tf.distribute.Strategy, new: list[Any]) -> None:
        for variable, value in zip(variables, new, strict=True):
            strategy.extended.update(variable, lambda v, x: v.assign(x), args=(value,), group=False)

    tf.distribute.get_replica_context().merge_call(update, args=([x for _, x in values],))
