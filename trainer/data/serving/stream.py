"""A dataset larger than memory: examples are read while the steps before them run."""

from typing import Any

import tensorflow as tf

from trainer.data.serving.example_log import ExampleLog
from trainer.data.serving.order import Batches
from trainer.data.serving.reading import ExampleReader
from trainer.data.serving.wait_clock import WaitClock

# Steps read ahead. A few are enough to hide one slow read; each costs a decoded batch.
_STEPS_AHEAD = 4
_IDS_AHEAD = 8192


class StreamPipeline:
    """Serves microbatches from a `tf.data` pipeline that stands at a step.

    The pipeline holds no state worth saving: at another step it is simply made anew there.

    Args:
        reader: of the examples.
        batches: that are served.
        num_steps: in all; nothing is read for later ones.
        log: of what is served, or None.
    """

    def __init__(
        self,
        reader: ExampleReader,
        batches: Batches,
        num_steps: int,
        log: ExampleLog | None = None,
    ) -> None:
        self._reader = reader
        self._batches = batches
        self._log = log
        self._num_steps = num_steps
        self._next_step = -1
        self._iterator: Any = None
        self._wait_clock = WaitClock()

    def prepare(self, first_step: int, num_steps: int) -> Any:
        """Return the iterator, standing at `first_step`."""
        if self._log:
            self._log.write(first_step, num_steps)
        if first_step != self._next_step:
            self._iterator = None  # ends the reading ahead before files are opened anew
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
        place, size = self._batches.places(first_microbatch, num_microbatches)
        start = place - self._batches.local.start

        def cut(values: tf.Tensor) -> tf.Tensor:
            shape = [num_microbatches, self._batches.microbatch_size, *values.shape[1:]]
            begin = tf.concat([[start], tf.zeros([values.shape.rank - 1], tf.int64)], 0)
            return tf.reshape(tf.slice(values, begin, [size, *values.shape[1:]]), shape)

        batch, weights = selected
        return {name: cut(values) for name, values in batch.items()}, cut(weights)

    def waited(self) -> float:
        """Return the seconds so far that `select` waited for its examples."""
        return self._wait_clock.seconds()

    def cause(self, error: Exception, first_step: int, num_steps: int) -> Exception:
        """Return why these steps failed; see `ExampleReader.cause`."""
        self._iterator = None
        steps = tf.range(first_step, first_step + num_steps, dtype=tf.int64)
        return self._reader.cause(error, map(self._batches.serve, steps))

    def close(self) -> None:
        """End the reading ahead and close all files."""
        self._iterator = None
        self._reader.close()

    # Nothing to convert here, and the files that a conversion writes would outlive a kill.
    @tf.autograph.experimental.do_not_convert
    def _pipeline(self, first_step: int) -> tf.data.Dataset:
        with tf.device("CPU:0"):
            steps = tf.data.Dataset.range(first_step, self._num_steps)
            examples = self._reader.batches(self._served(first_step), len(self._batches.local))
            weights = steps.map(self._batches.weights)
            ahead = tf.data.Dataset.zip(examples, weights).prefetch(_STEPS_AHEAD)
            return self._wait_clock.watch(ahead)

    @tf.autograph.experimental.do_not_convert
    def _served(self, first_step: int) -> tf.data.Dataset:
        """Return what is served at each step; worked out for many at once, as ids cost little."""
        count = max(1, _IDS_AHEAD // len(self._batches.local))

        def serve(first: tf.Tensor) -> tuple[tf.Tensor, ...]:
            shape = [count, len(self._batches.local)]
            served = self._batches.serve(first + tf.range(count, dtype=tf.int64))
            return tuple(tf.ensure_shape(values, shape) for values in served)

        groups = tf.data.Dataset.range(first_step, self._num_steps, count)
        return groups.map(serve).prefetch(1).unbatch().take(self._num_steps - first_step)
