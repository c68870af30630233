"""A step and an evaluation, traced before anything is made for them: what metrics are given.

Nothing is computed. A metric may make its state at its first update, in shapes that only the task
knows, and that state has to be there before the step is traced for good. The user's code is traced
twice, to see whether Python makes the same of it.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import ownership, user_code
from trainer.data.info import Feature
from trainer.engine import eager, frozen, scopes, virtual_replica, whole_batch
from trainer.engine.metric_states import Given, make_states, random_values
from trainer.engine.optimizer import update
from trainer.task import (
    BatchLossFn,
    Gradients,
    LossFn,
    Microbatch,
    PerExampleFn,
    Task,
    Variables,
)

_TRIES = 3


def rehearse(
    task: Task,
    features: Mapping[str, Feature],
    microbatch_size: int,
    *,
    virtual_replicas: int,
    evaluated: bool,
    is_eager: bool = False,
) -> None:
    """Make the states of the task's metrics; call it in the scope of the strategy.

    Args:
        task: as it will be trained.
        features: of the examples as the step sees them.
        microbatch_size: b.
        virtual_replicas: V.
        evaluated: whether there is an evaluation.
        is_eager: run the user's code on zeros in place of tracing it: it may ask for numbers.

    Raises:
        RunError: BAD_CONFIG where the step, a metric or a term of `add_loss` is refused.
    """
    batch = {n: tf.TensorSpec([microbatch_size, *f.shape], f.dtype) for n, f in features.items()}
    rehearsal = _Rehearsal(task, virtual_replicas)

    def trace(function: Callable[..., Any]) -> tf.Graph:
        call = tf.function(function, autograph=False)
        return call.get_concrete_function(batch, tf.TensorSpec([2], tf.int64)).graph

    with rehearsal.listening():
        if is_eager:
            _run_on_zeros(rehearsal, batch, evaluated=evaluated)
        else:
            is_users = frozen.is_users(frozen.traced_alike(lambda: trace(rehearsal.train)))
            if evaluated and (is_users or task.metrics.keys() - rehearsal.given.keys()):
                frozen.traced_alike(lambda: trace(rehearsal.evaluate))
            if rehearsal.lines and virtual_replicas > 1:
                _refuse_sums_over_the_batch(rehearsal, batch, virtual_replicas)
    make_states(task.metrics, rehearsal.given)


def _run_on_zeros(
    rehearsal: "_Rehearsal", batch: Mapping[str, tf.TensorSpec], *, evaluated: bool
) -> None:
    key = tf.zeros([2], tf.int64)
    zeros = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in batch.items()}
    with eager.muted(), eager.functions_eager():
        rehearsal.train(zeros, key)
        if evaluated:
            rehearsal.evaluate(zeros, key)


def _refuse_sums_over_the_batch(
    rehearsal: "_Rehearsal", batch: Mapping[str, tf.TensorSpec], virtual_replicas: int
) -> None:
    """Refuse terms of `add_loss` that grow with the number of examples.

    A batch that holds everything twice has the same means, and twice the sums. Terms may be
    random, so a term is refused only if it grows or shrinks in every try.
    """
    if any(not s.dtype.is_numpy_compatible or s.dtype == tf.string for s in batch.values()):
        return
    call = tf.function(rehearsal.terms, autograph=False)
    rng, ratios = np.random.default_rng(0), []
    try:
        for _ in range(_TRIES):
            once = {name: random_values(spec, rng) for name, spec in batch.items()}
            twice = {name: tf.concat([x, x], 0) for name, x in once.items()}
            key = tf.zeros([2], tf.int64)
            terms = [np.asarray(call(b, key), np.float64) for b in (once, twice)]
            ratios.append(
                np.divide(terms[1], terms[0], where=terms[0] != 0, out=np.ones(len(terms[0])))
            )
    except tf.errors.OpError:
        return  # random numbers that the model does not take tell nothing
    found = np.array(ratios)
    changing = np.all(found > 1.3, axis=0) | np.all(found < 0.7, axis=0)
    for index in np.flatnonzero(changing):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{rehearsal.lines[index]}: add_loss is given a sum over the examples: of "
            f"{virtual_replicas} microbatches (config.virtual_replicas) the mean is taken, so it "
            "would not be the sum over the batch; give it a mean over the examples "
            "(tf.reduce_mean, times a factor)",
        )


class _Rehearsal:
    """Stands in for the replica: asks for losses, and takes no gradient.

    Attributes:
        given: metric -> what it was given first.
        lines: where each term of `add_loss` was added.
    """

    def __init__(self, task: Task, virtual_replicas: int) -> None:
        self._task = task
        self._virtual_replicas = virtual_replicas
        self._batch: Mapping[str, tf.Tensor] = {}
        self._key = tf.zeros([2], tf.int64)
        self._is_weighted = False
        self._terms: list[tf.Tensor] = []
        self.given: dict[str, Given] = {}
        self.lines: list[str] = []

    def train(self, batch: Mapping[str, tf.Tensor], key: tf.Tensor) -> None:
        """Trace `Task.train_step`; `key` is int64[2], of the random numbers."""
        self._batch, self._key, self._terms, self.lines = batch, key, [], []
        with (
            _on_a_replica(),
            scopes.step_scope(self._task, key),
            ownership.unchanged_numbers(self._task),
        ):
            self._task.train_step(self)

    def terms(self, batch: Mapping[str, tf.Tensor], key: tf.Tensor) -> list[tf.Tensor]:
        """Trace `Task.train_step`, and return what `add_loss` was given."""
        self.train(batch, key)
        return [tf.reduce_sum(tf.cast(term, tf.float32)) for term in self._terms]

    def evaluate(self, batch: Mapping[str, tf.Tensor], key: tf.Tensor) -> None:
        """Trace `Task.eval_step`."""
        self._batch, self._key = batch, key
        with _on_a_replica():
            self._losses(self._task.eval_step)

    def gradient(self, loss_fn: LossFn, variables: Variables) -> list[tf.Tensor | None]:
        """See `task.Replica`; the gradients are zeros."""
        self._losses(loss_fn)
        return [tf.zeros(v.shape, v.dtype) for v in variables]

    def gradient_of_batch(
        self, embed_fn: PerExampleFn, batch_loss_fn: BatchLossFn, variables: Variables
    ) -> list[tf.Tensor | None]:
        """See `task.Replica`; the gradients are zeros."""
        flat = tf.nest.flatten(embeddings := self.gather(embed_fn))
        made = whole_batch.batch_loss_fn(self._task, batch_loss_fn, [], embeddings, hashed=False)
        state = virtual_replica.VirtualReplicaState(self._task)
        values = [tf.convert_to_tensor(v.value) for v in state.carried]
        weights = tf.ones([self._size * self._virtual_replicas])
        made(values, (flat, weights, self._key), self._key[1])
        return [tf.zeros(v.shape, v.dtype) for v in variables]

    def gather(self, fn: PerExampleFn) -> Any:
        """See `task.Replica`; every microbatch is the same one."""
        state = virtual_replica.VirtualReplicaState(self._task)
        values = [tf.convert_to_tensor(v.value) for v in state.carried]
        inputs = (self._batch, tf.ones([self._size]), self._key)
        made = whole_batch.per_example_fn(self._task, fn, hashed=False)
        rows = made(values, inputs, self._key[1])["made"]
        return tf.nest.map_structure(lambda x: tf.concat([x] * self._virtual_replicas, 0), rows)

    def apply(self, optimizer: Any, grads: Gradients, to: Variables) -> None:
        """See `task.Replica`; what an optimizer of the user's does is recorded, and forgotten."""
        if user_code.defined(type(optimizer)):
            update(optimizer, [g for g in grads if g is not None],
                   [v for g, v in zip(grads, to, strict=True) if g is not None],
                   tf.constant(True))  # fmt: skip

    def _losses(self, loss_fn: LossFn) -> None:
        state = virtual_replica.VirtualReplicaState(self._task)
        values = [tf.convert_to_tensor(v.value) for v in state.carried]
        weights = tf.ones([self._size])
        microbatch = Microbatch(self._batch, weights, self._key[1], self._key)
        self._is_weighted = self._task.example_weights(microbatch) is not weights
        with state.scope(values, self._key, hashed=False) as scope:
            virtual_replica.asked(self._task, loss_fn, microbatch)
        self._terms += scope.losses
        self.lines += scope.loss_lines

    @property
    def _size(self) -> int:
        size: int = next(iter(self._batch.values())).shape[0]
        return size

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
            args, kwargs = tf.nest.map_structure(_spec, (args, kwargs))
            self.given.setdefault(name, Given(args, kwargs, self._is_weighted))

        return update_state


def _on_a_replica() -> contextlib.AbstractContextManager[Any]:
    """Return the context of this worker's first replica: it holds the variables of no other."""
    if not tf.distribute.in_cross_replica_context():
        return contextlib.nullcontext()
    strategy = tf.distribute.get_strategy()
    before = -strategy.extended._get_local_replica_id(0)  # replicas on the workers before this one
    return tf.distribute.ReplicaContext(strategy, before)


def _spec(value: Any) -> Any:
    return tf.TensorSpec(value.shape, value.dtype) if tf.is_tensor(value) else value
