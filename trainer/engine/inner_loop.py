"""Many steps in one call: the host does nothing between them."""

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
from trainer.engine import xla_kernels
from trainer.engine.step import Microbatches, Sums
from trainer.engine.step_sums import StepSums


class InputPipeline(Protocol):
    """Serves the examples of a step."""

    def prepare(self, first_step: int, num_steps: int) -> Any:
        """Return, on the host, what one call needs for steps `first_step` and following."""

    def signature(self) -> Any:
        """Return what `prepare` returns, as specs; one that reads while training has none."""

    def select(self, prepared: Any, index: tf.Tensor) -> Any:
        """Return, in the graph, what the replicas get for the `index`-th step of the call."""

    def batch(
        self, selected: Any, first_microbatch: tf.Tensor, num_microbatches: int
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return a replica's microbatches: feature -> [k, b, ...], and weights float32[k, b]."""

    def waited(self) -> float:
        """Return the seconds so far that steps waited for their examples."""

    def cause(self, error: Exception, first_step: int, num_steps: int) -> Exception:
        """Return why a call failed: what its examples met, or else the error itself."""


StepFn = Callable[[Microbatches], Sums]
Preprocess = Callable[[dict[str, tf.Tensor], tf.Tensor], dict[str, tf.Tensor]]


class InnerLoop:
    """Steps of a run: `loop(first_step, num_steps)` makes them and returns their sums.

    Args:
        strategy: of the run.
        step_fn: one step on one replica.
        pipeline: where examples come from.
        preprocess: (batch [k, b, ...], positions int64[k, b]) -> batch as the task sees it.
        microbatches_per_replica: k.
        zero: sums of no step.
        compiled: make the whole call one XLA program; needs one replica.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        step_fn: StepFn,
        pipeline: InputPipeline,
        preprocess: Preprocess,
        *,
        microbatches_per_replica: int,
        zero: Sums,
        compiled: bool,
    ) -> None:
        self._strategy, self._step_fn = strategy, step_fn
        self._pipeline, self._preprocess = pipeline, preprocess
        self._num_microbatches = microbatches_per_replica
        self._scalars = [name for name, value in zero.items() if value.shape.rank == 0]
        self._others = {name: value for name, value in zero.items() if value.shape.rank}
        self._run = tf.function(self._steps, jit_compile=compiled or None, autograph=False)
        if compiled:
            self._trace()

    def __call__(self, first_step: int, num_steps: int) -> StepSums:
        """Make steps `first_step` and following, at most `MAX_STEPS_PER_CALL` of them."""
        prepared = self._pipeline.prepare(first_step, num_steps)
        numbers = (tf.constant(first_step, tf.int64), tf.constant(num_steps))
        try:
            rows, sums = self._run(*numbers, prepared)
        except tf.errors.OpError as error:
            graph = self._run.get_concrete_function(*numbers, prepared).graph  # traced already
            if refusal := xla_kernels.refusal(graph, error):
                raise refusal from None
            raise self._pipeline.cause(error, first_step, num_steps) from None
        each = dict(zip(self._scalars, rows.numpy()[:num_steps].T, strict=True))
        return StepSums(num_steps, each, {name: value.numpy() for name, value in sums.items()})

    def waited(self) -> float:
        """Return the seconds so far that steps waited for their examples."""
        return self._pipeline.waited()

    def microbatches(self, step: int) -> Microbatches:
        """Return what the only replica gets for one step."""
        prepared = self._pipeline.prepare(step, 1)

        @tf.function(autograph=False)
        def made() -> dict[str, Any]:
            selected = self._pipeline.select(prepared, tf.constant(0))
            numbers = (tf.constant(0, tf.int64), tf.constant(step, tf.int64))
            return vars(self._of_replica(selected, *numbers))

        return Microbatches(**made())

    def trace_anew(self) -> tf.Graph:
        """Return the graph of a call, traced again; nothing is run."""
        numbers = (tf.constant(0, tf.int64), tf.constant(1))
        function = tf.function(self._steps, autograph=False)
        graph: tf.Graph = function.get_concrete_function(
            *numbers, self._pipeline.prepare(0, 1)
        ).graph
        return graph

    def _trace(self) -> None:
        # The cache of programs knows them by a name that counts all that was made before: trace
        # while that is the same at every start.
        numbers = (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int32))
        self._run.get_concrete_function(*numbers, self._pipeline.signature())

    def _steps(
        self, first_step: tf.Tensor, num_steps: tf.Tensor, prepared: Any
    ) -> tuple[tf.Tensor, Sums]:
        """Return, in the graph, scalars [MAX_STEPS_PER_CALL, scalars], and the other sums."""

        def body(index: tf.Tensor, rows: tf.Tensor, sums: Sums) -> tuple[tf.Tensor, ...]:
            selected = self._pipeline.select(prepared, index)
            made = self._step(selected, first_step + tf.cast(index, tf.int64))
            row = tf.stack([tf.cast(made[name], tf.float32) for name in self._scalars])
            # A scatter would do, but on a GPU a deterministic one is computed by the host.
            rows = tf.where((tf.range(MAX_STEPS_PER_CALL) == index)[:, tf.newaxis], row, rows)
            sums = {name: total + _counted(made, name) for name, total in sums.items()}
            return index + 1, rows, sums

        # One at a time: a step reads the weights that the one before has written.
        start = (tf.constant(0), tf.zeros([MAX_STEPS_PER_CALL, len(self._scalars)]), self._others)
        loop = tf.while_loop(lambda i, *_: i < num_steps, body, start, parallel_iterations=1)
        return loop[1], loop[2]

    def _step(self, selected: Any, step: tf.Tensor) -> Sums:
        """Make one step on all replicas."""
        made = self._strategy.run(self._on_replica, args=(selected, step))
        # Every replica holds the same reduced sums: the first one's will do.
        return {n: self._strategy.experimental_local_results(x)[0] for n, x in made.items()}

    def _on_replica(self, selected: Any, step: tf.Tensor) -> Sums:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        first = tf.cast(replica, tf.int64) * self._num_microbatches
        return self._step_fn(self._of_replica(selected, first, step))

    def _of_replica(self, selected: Any, first: tf.Tensor, step: tf.Tensor) -> Microbatches:
        batch, weights = self._pipeline.batch(selected, first, self._num_microbatches)
        batch = self._preprocess(batch, self._positions(step, first, weights.shape))
        return Microbatches(batch, weights, first, step)

    def _positions(
        self, step: tf.Tensor, first_microbatch: tf.Tensor, shape: tf.TensorShape
    ) -> tf.Tensor:
        """Return the position in the run of every example of a replica, int64[k, b]."""
        num_microbatches, microbatch_size = shape
        batch_size = num_microbatches * microbatch_size * self._strategy.num_replicas_in_sync
        start = step * batch_size + first_microbatch * microbatch_size
        return tf.reshape(
            start + tf.range(num_microbatches * microbatch_size, dtype=tf.int64), shape
        )


def _counted(made: Sums, name: str) -> tf.Tensor:
    """Return a sum of a step that is not a scalar, zeros where the step was skipped."""
    value = tf.cast(made[name], tf.float32)
    return tf.where(made["skipped"] > 0, 0.0, value) if "skipped" in made else value
