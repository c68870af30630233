"""What happens inside of one step, a number for each in order: inputs, layers, loss, gradients."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from trainer.engine import scopes
from trainer.engine.replica_hashes import hash_of
from trainer.engine.step import Microbatches, ReplicaStep, StepPlan
from trainer.engine.virtual_replica import MicrobatchFn, Outputs, VirtualReplicaState, gradient_fn
from trainer.engine.whole_batch import per_example_fn
from trainer.task import BatchLossFn, LossFn, PerExampleFn, Task, Variables

Numbers = dict[str, tf.Tensor]
Measure = Callable[[tf.Tensor], tf.Tensor]


class ProbedStep(ReplicaStep):
    """A step that also makes each of its microbatches alone, and measures all on the way."""

    def __init__(
        self, task: Task, plan: StepPlan, microbatches: Microbatches, measure: Measure
    ) -> None:
        super().__init__(task, plan, microbatches)
        self._measure = measure
        self.found: Numbers = {}

    def gradient(self, loss_fn: LossFn, variables: Variables) -> list[tf.Tensor | None]:
        """See `task.Replica`."""
        made = gradient_fn(self._task, loss_fn, variables, hashed=self._plan.is_compiled)
        carried = VirtualReplicaState(self._task).carried
        for place, out in self._each_alone(made):
            self._note(f"{place}: loss", out["sums"]["loss"])
            for index, value in out["moving"].items():
                self._note(f"{place}: statistic {carried[index].path}", value)
            # Backwards, as they are computed: the last layer comes first.
            for index, grad in reversed(out["grads"].items()):
                self._note(f"{place}: gradient of {variables[index].path}", grad)
        return super().gradient(loss_fn, variables)

    def gradient_of_batch(
        self, embed_fn: PerExampleFn, batch_loss_fn: BatchLossFn, variables: Variables
    ) -> list[tf.Tensor | None]:
        """See `task.Replica`."""
        place = f"gradient {self._num_calls}"
        made = per_example_fn(self._task, embed_fn, hashed=self._plan.is_compiled)
        for of_one, out in self._each_alone(made):
            for index, embedding in enumerate(tf.nest.flatten(out["made"])):
                self._note(f"{of_one}: embedding {index}", embedding)
        grads = super().gradient_of_batch(embed_fn, batch_loss_fn, variables)
        for variable, grad in reversed(list(zip(variables, grads, strict=True))):
            if grad is not None:
                self._note(f"{place}, whole batch: gradient of {variable.path}", grad)
        return grads

    def _each_alone(self, made: MicrobatchFn) -> Iterator[tuple[str, Outputs]]:
        """Make each microbatch alone; note its features and layers, yield its name and outputs."""
        values = [tf.convert_to_tensor(v.value) for v in VirtualReplicaState(self._task).carried]
        inputs = self._microbatches.inputs(self._plan, self._num_calls)
        for number in range(self._microbatches.weights.shape[0]):
            one = tf.nest.map_structure(lambda x, v=number: x[v], inputs)
            place = f"gradient {self._num_calls}, microbatch {number}"
            for name, feature in one[0].items():
                self._note(f"{place}: feature {name}", feature)
            with _calls_of_layers() as calls:
                out = made(values, one, self._microbatches.step)
            for name, tensor in calls:
                self._note(f"{place}: layer {name}", tensor)
            yield place, out

    def _note(self, name: str, tensor: tf.Tensor) -> None:
        if tensor.dtype != tf.string and tensor.shape.is_fully_defined():
            self.found.setdefault(name, self._measure(tensor))


def probe(
    task: Task, plan: StepPlan, microbatches: Microbatches, measure: Measure = hash_of
) -> dict[str, int]:
    """Make one step, all microbatches on one replica, and write nothing.

    Args:
        task: with the state before the step.
        plan: of the step.
        microbatches: of the step.
        measure: tensor -> int64[], what is told of it.

    Returns:
        What is computed, in its order -> what is told of it.
    """

    @tf.function(autograph=False)
    def run() -> Numbers:
        step = ProbedStep(task, plan, microbatches, measure)
        with scopes.step_scope(task, tf.stack([plan.stream(0), -1 - microbatches.step])):
            task.train_step(step)
        names.extend(step.found)
        return step.found

    names: list[str] = []
    made = run()
    return {name: int(made[name]) for name in names}  # a function returns them sorted


@contextlib.contextmanager
def _calls_of_layers() -> Iterator[list[tuple[str, Any]]]:
    """Note what every layer returns meanwhile: the innermost first."""
    calls: list[tuple[str, Any]] = []
    real = keras.layers.Layer.__call__

    def call(self: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        out = real(self, *args, **kwargs)
        tensors = [t for t in tf.nest.flatten(out) if tf.is_tensor(t)]
        calls.extend((self.path or self.name, tensor) for tensor in tensors)
        return out

    keras.layers.Layer.__call__ = call
    try:
        yield calls
    finally:
        keras.layers.Layer.__call__ = real
