"""A dataset that fits: decoded tensors on every device, microbatches gathered by index."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.serving.order import Order


class ResidentPipeline:
    """Serves microbatches from tensors in memory; nothing but indices is made per call.

    Args:
        strategy: of the run.
        arrays: feature -> [N, ...].
        order: of the examples.
        batch_size: B.
        microbatch_size: b.
        rows: most steps in one call.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        arrays: Mapping[str, np.ndarray],
        order: Order,
        *,
        batch_size: int,
        microbatch_size: int,
        rows: int,
    ) -> None:
        self._strategy = strategy
        self._order = order
        self._batch_size = batch_size
        self._microbatch_size = microbatch_size
        self._rows = rows
        self._tensors = {name: self._place(array) for name, array in arrays.items()}
        # One graph for all of it: what nobody asks of the order is not worked out.
        self._served = tf.function(self._serve, autograph=False)

    def prepare(self, first_step: int, num_steps: int) -> Any:
        """Return ids and weights [rows, B] of the call, and the tensors they point into."""
        ids, weights = self._served(tf.constant(first_step, tf.int64), tf.constant(num_steps))
        return ids, weights, self._tensors

    def signature(self) -> Any:
        """Return what `prepare` returns, as specs."""
        shape = [self._rows, self._batch_size]
        specs = (tf.TensorSpec(shape, tf.int64), tf.TensorSpec(shape, tf.float32))
        return *specs, self._tensors

    def _serve(self, first_step: tf.Tensor, num_steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        num = tf.cast(num_steps, tf.int64) * self._batch_size
        positions = first_step * self._batch_size + tf.range(num)
        # The same shape for every call, so that the loop is traced once.
        padding = [[0, self._rows * self._batch_size - num]]
        shape = [self._rows, self._batch_size]
        ids = tf.reshape(tf.pad(self._order.serve(positions).ids, padding), shape)
        return ids, tf.reshape(tf.pad(self._order.weights(positions), padding), shape)

    def select(self, prepared: Any, index: tf.Tensor) -> Any:
        """Return ids [B] and weights [B] of one step."""
        ids, weights, tensors = prepared
        return ids[index], weights[index], tensors

    def batch(
        self, selected: Any, first_microbatch: tf.Tensor, num_microbatches: int
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Gather the microbatches of a replica: feature -> [k, b, ...], and weights [k, b]."""
        ids, weights, tensors = selected
        start, size = (
            first_microbatch * self._microbatch_size,
            num_microbatches * self._microbatch_size,
        )
        shape = [num_microbatches, self._microbatch_size]
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
