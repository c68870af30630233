"""A dataset larger than memory: examples are read while the steps before them run."""

import dataclasses
from typing import Any

import tensorflow as tf

from trainer.data.serving.examples import Examples
from trainer.data.serving.order import Order, Served
from trainer.data.serving.wait_clock import WaitClock

# Steps read ahead. A few are enough to hide one slow read; each costs a decoded batch.
_STEPS_AHEAD = 4
_IDS_AHEAD = 8192


@dataclasses.dataclass(frozen=True)
class LocalMicrobatches:
    """The part of every global batch that the replicas of this process work on.

    Attributes:
        first: its first example in the batch.
        size: examples.
    """

    first: int
    size: int


def local_microbatches(strategy: tf.distribute.Strategy, batch_size: int) -> LocalMicrobatches:
    """Return what this worker reads of a batch of B examples."""
    num_local = num_local_replicas(strategy)
    size = batch_size // strategy.num_replicas_in_sync * num_local
    resolver = strategy.cluster_resolver
    index = resolver.task_id if resolver is not None and size < batch_size else 0
    return LocalMicrobatches(index * size, size)


def num_local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Return the replicas of this process."""
    if strategy.num_replicas_in_sync == 1:
        return 1  # the default strategy has no list of devices
    return len(strategy.extended.worker_devices)


class StreamPipeline:
    """Serves microbatches from a `tf.data` pipeline that stands at a step.

    The pipeline holds no state worth saving: at another step it is simply made anew there.

    Args:
        microbatches: of this worker.
        examples: where they are read from.
        order: of the examples.
        batch_size: B.
        microbatch_size: b.
        num_steps: in all; nothing is read for later ones.
    """

    def __init__(
        self,
        microbatches: LocalMicrobatches,
        examples: Examples,
        order: Order,
        *,
        batch_size: int,
        microbatch_size: int,
        num_steps: int,
    ) -> None:
        self._microbatches = microbatches
        self._examples = examples
        self._order = order
        self._batch_size = batch_size
        self._microbatch_size = microbatch_size
        self._num_steps = num_steps
        self._next_step = -1
        self._iterator: Any = None
        self._wait_clock = WaitClock()

    def prepare(self, first_step: int, num_steps: int) -> Any:
        """Return the iterator, standing at `first_step`."""
        if first_step != self._next_step:
            self._iterator = None  # ends the reading ahead before shards are opened anew
            self._iterator = iter(self._pipeline(first_step))
        self._next_step = first_step + num_steps
        return self._iterator

    def select(self, prepared: Any, index: tf.Tensor) -> Any:
        """Take the next step's examples and weights."""
        del index
        return next(prepared)

    def batch(
        self, selected: Any, first_microbatch: tf.Tensor, num_microbatches: int
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Cut out the microbatches of a replica: feature -> [k, b, ...], and weights [k, b]."""
        start, size = (
            first_microbatch * self._microbatch_size - self._microbatches.first,
            num_microbatches * self._microbatch_size,
        )

        def cut(values: tf.Tensor) -> tf.Tensor:
            shape = [num_microbatches, self._microbatch_size, *values.shape[1:]]
            begin = tf.concat([[start], tf.zeros([values.shape.rank - 1], tf.int64)], 0)
            return tf.reshape(tf.slice(values, begin, [size, *values.shape[1:]]), shape)

        batch, weights = selected
        return {name: cut(values) for name, values in batch.items()}, cut(weights)

    def waited(self) -> float:
        """Return the seconds so far that `select` waited for its examples."""
        return self._wait_clock.seconds()

    def cause(self, error: Exception, first_step: int, num_steps: int) -> Exception:
        """Return why these steps failed; see `Examples.cause`."""
        self._iterator = None
        steps = tf.range(first_step, first_step + num_steps, dtype=tf.int64)
        return self._examples.cause(error, map(self._serve, steps))

    def close(self) -> None:
        """End the reading ahead and close all files."""
        self._iterator = None
        self._examples.close()

    # Nothing to convert here, and the files that a conversion writes would outlive a kill.
    @tf.autograph.experimental.do_not_convert
    def _pipeline(self, first_step: int) -> tf.data.Dataset:
        with tf.device("CPU:0"):
            steps = tf.data.Dataset.range(first_step, self._num_steps)
            served = self._served(first_step)
            batches = self._examples.read(served, self._microbatches.size)
            weights = steps.map(lambda step: self._order.weights(self._positions(step)))
            ahead = tf.data.Dataset.zip(batches, weights).prefetch(_STEPS_AHEAD)
            return self._wait_clock.watch(ahead)

    @tf.autograph.experimental.do_not_convert
    def _served(self, first_step: int) -> tf.data.Dataset:
        """Return what is served at each step; worked out for many at once, as ids cost little."""
        count = max(1, _IDS_AHEAD // self._microbatches.size)

        def serve(first: tf.Tensor) -> tuple[tf.Tensor, ...]:
            steps = first + tf.range(count, dtype=tf.int64)
            positions = tf.reshape(self._positions(steps[:, tf.newaxis]), [-1])
            shape = [count, self._microbatches.size]
            return tuple(tf.reshape(values, shape) for values in self._order.serve(positions))

        groups = tf.data.Dataset.range(first_step, self._num_steps, count)
        return groups.map(serve).prefetch(1).unbatch().take(self._num_steps - first_step)

    def _serve(self, step: tf.Tensor) -> Served:
        return self._order.serve(self._positions(step))

    def _positions(self, step: tf.Tensor) -> tf.Tensor:
        start = step * self._batch_size + self._microbatches.first
        return start + tf.range(self._microbatches.size, dtype=tf.int64)
