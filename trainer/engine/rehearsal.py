"""A step and an evaluation, traced once before anything is made for them: what metrics are given.

Nothing is computed. A metric may make its state at its first update, in shapes that only the task
knows, and that state has to be there before the step is traced for good.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from trainer import ownership
from trainer.data.info import Feature
from trainer.engine import scopes, virtual_replica
from trainer.engine.metric_states import Given, make_states
from trainer.task import Gradients, LossFn, Microbatch, Task, Variables


def rehearse(
    task: Task, features: Mapping[str, Feature], microbatch_size: int, *, evaluated: bool
) -> None:
    """Make the states of the task's metrics; call it in the scope of the strategy.

    Args:
        task: as it will be trained.
        features: of the examples as the step sees them.
        microbatch_size: b.
        evaluated: whether there is an evaluation.

    Raises:
        RunError: BAD_CONFIG where the step or a metric is refused.
    """
    batch = {n: tf.TensorSpec([microbatch_size, *f.shape], f.dtype) for n, f in features.items()}
    rehearsal = _Rehearsal(task, microbatch_size)
    with rehearsal.listening():
        for part in (rehearsal.train, rehearsal.evaluate) if evaluated else (rehearsal.train,):
            if task.metrics.keys() - rehearsal.given.keys():
                tf.function(part, autograph=False).get_concrete_function(batch)
    make_states(task.metrics, rehearsal.given)


class _Rehearsal:
    """Stands in for the replica: asks for losses, and takes no gradient.

    Attributes:
        given: metric -> what it was given first.
    """

    def __init__(self, task: Task, microbatch_size: int) -> None:
        self._task, self._size = task, microbatch_size
        self._batch: Mapping[str, tf.Tensor] = {}
        self._is_weighted = False
        self.given: dict[str, Given] = {}

    def train(self, batch: Mapping[str, tf.Tensor]) -> None:
        """Trace `Task.train_step`."""
        self._batch = batch
        key = tf.zeros([2], tf.int64)
        with scopes.step_scope(self._task, key), ownership.unchanged_numbers(self._task):
            self._task.train_step(self)

    def evaluate(self, batch: Mapping[str, tf.Tensor]) -> None:
        """Trace `Task.eval_step`."""
        self._batch = batch
        self._losses(self._task.eval_step)

    def gradient(self, loss_fn: LossFn, variables: Variables) -> list[tf.Tensor | None]:
        """See `task.Replica`; the gradients are zeros."""
        self._losses(loss_fn)
        return [tf.zeros(v.shape, v.dtype) for v in variables]

    def apply(self, optimizer: Any, grads: Gradients, to: Variables) -> None:
        """See `task.Replica`; nothing changes."""

    def _losses(self, loss_fn: LossFn) -> None:
        state = virtual_replica.VirtualReplicaState(self._task)
        zeros = [tf.zeros(v.shape, v.dtype) for v in state.carried]
        weights, place = tf.ones([self._size]), tf.zeros([2], tf.int64)
        microbatch = Microbatch(self._batch, weights, place[0], place)
        with state.scope(zeros, place, hashed=False):
            microbatch, *_ = virtual_replica.asked(self._task, loss_fn, microbatch)
            self._is_weighted = microbatch.weights is not weights

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note what every metric is given, in place of updating it."""
        metrics = self._task.metrics
        for name, metric in metrics.items():
            object.__setattr__(metric, "update_state", self._listener(name))
        try:
            yield
        finally:
            for metric in metrics.values():
                object.__delattr__(metric, "update_state")

    def _listener(self, name: str) -> Callable[..., None]:
        def update_state(*args: Any, **kwargs: Any) -> None:
            specs = tf.nest.map_structure(_spec, (args, kwargs))
            self.given.setdefault(name, Given(*specs, self._is_weighted))

        return update_state


def _spec(value: Any) -> Any:
    return tf.TensorSpec(value.shape, value.dtype) if tf.is_tensor(value) else value
