"""A dataset that fits: decoded tensors on every device, microbatches gathered by index."""

from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.info import Arrays
from trainer.data.serving.example_log import ExampleLog
from trainer.data.serving.order import Batches


class ResidentPipeline:
    """Serves microbatches from tensors in memory; nothing but indices is made per call.

    Args:
        strategy: of the run.
        arrays: feature -> [N, ...].
        batches: that are served.
        rows: most steps in one call.
        log: of what is served, or None.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        arrays: Arrays,
        batches: Batches,
        rows: int,
        log: ExampleLog | None = None,
    ) -> None:
        self._strategy = strategy
        self._batches = batches
        self._log = log
        self._rows = rows
        self._tensors = {name: self._place(array) for name, array in arrays.items()}
        # One graph for all of it: what nobody asks of the order is not worked out.
        self._served = tf.function(self._serve, autograph=False)

    def prepare(self, first_step: int, num_steps: int) -> Any:
        """Return ids and weights [rows, B] of the call, and the tensors they point into."""
        if self._log:
            self._log.write(first_step, num_steps)
        ids, weights = self._served(tf.constant(first_step, tf.int64), tf.constant(num_steps))
        return ids, weights, self._tensors

    def signature(self) -> Any:
        """Return what `prepare` returns, as specs."""
        shape = [self._rows, self._batches.size]
        specs = (tf.TensorSpec(shape, tf.int64), tf.TensorSpec(shape, tf.float32))
        return *specs, self._tensors

    def _serve(self, first_step: tf.Tensor, num_steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        order, shape = self._batches.order, [self._rows, self._batches.size]
        num = tf.cast(num_steps, tf.int64) * self._batches.size
        positions = first_step * self._batches.size + tf.range(num)
        # The same shape for every call, so that the loop is traced once.
        padding = [[0, shape[0] * shape[1] - num]]
        ids = tf.reshape(tf.pad(order.serve(positions).ids, padding), shape)
        return ids, tf.reshape(tf.pad(order.weights(positions), padding), shape)

    def select(self, prepared: Any, index: tf.Tensor) -> Any:
        """Return ids [B] and weights [B] of one step."""
        ids, weights, tensors = prepared
        return ids[index], weights[index], tensors

    def batch(
        self, selected: Any, first_microbatch: tf.Tensor, num_microbatches: int
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Gather the microbatches of a replica: feature -> [k, b, ...], and weights [k, b]."""
        ids, weights, tensors = selected
        start, size = self._batches.places(first_microbatch, num_microbatches)
        shape = [num_microbatches, self._batches.microbatch_size]
        mine = tf.reshape(tf.slice(ids, [start], [size]), shape)
        counts = tf.reshape(tf.slice(weights, [start], [size]), shape)
        return {name: tf.gather(values, mine) for name, values in tensors.items()}, counts

    def waited(self) -> float:
        """Return 0: all examples are there."""
        return 0.0

    def cause(self, error: Exception, first_step: int, num_steps: int) -> Exception:
        """Return the error: all examples were read and decoded before the run."""
        del first_step, num_steps
        return error

    def _place(self, array: np.ndarray) -> Any:
        return self._strategy.experimental_distribute_values_from_function(
            lambda _: tf.convert_to_tensor(array)
        )
