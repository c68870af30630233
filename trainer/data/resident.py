"""A dataset that fits: decoded tensors on every replica's device, lanes gathered by index."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.order import Order


class ResidentFeed:
    """Serves lanes from tensors in memory; nothing but indices is made per call.

    Args:
        strategy: of the run.
        arrays: feature -> [N, ...].
        order: of the examples.
        batch_size: B.
        lane_size: b.
        rows: most steps in one call.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        arrays: Mapping[str, np.ndarray],
        order: Order,
        *,
        batch_size: int,
        lane_size: int,
        rows: int,
    ) -> None:
        self._strategy = strategy
        self._order = order
        self._batch_size = batch_size
        self._lane_size = lane_size
        self._rows = rows
        self._tensors = {name: self._place(array) for name, array in arrays.items()}

    def prepare(self, first_step: int, num_steps: int) -> Any:
        """Return ids and weights [rows, B] of the call, and the tensors they point into."""
        start, stop = first_step * self._batch_size, (first_step + num_steps) * self._batch_size
        positions = tf.range(start, stop, dtype=tf.int64)
        # The same shape for every call, so that the loop is traced once.
        padding = [[0, (self._rows - num_steps) * self._batch_size]]
        shape = [self._rows, self._batch_size]
        ids = tf.reshape(tf.pad(self._order.serve(positions).ids, padding), shape)
        weights = tf.reshape(tf.pad(self._order.weights(positions), padding), shape)
        return ids, weights, self._tensors

    def select(self, prepared: Any, index: tf.Tensor) -> Any:
        """Return ids [B] and weights [B] of one step."""
        ids, weights, tensors = prepared
        return ids[index], weights[index], tensors

    def batch(
        self, selected: Any, first_lane: tf.Tensor, num_lanes: int
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Gather the lanes of a replica: feature -> [k, b, ...], and weights [k, b]."""
        ids, weights, tensors = selected
        start, size = first_lane * self._lane_size, num_lanes * self._lane_size
        shape = [num_lanes, self._lane_size]
        mine = tf.reshape(tf.slice(ids, [start], [size]), shape)
        counts = tf.reshape(tf.slice(weights, [start], [size]), shape)
        return {name: tf.gather(values, mine) for name, values in tensors.items()}, counts

    def waited(self) -> float:
        """Return 0: all examples are there."""
        return 0.0

    def explain(self, first_step: int, num_steps: int) -> None:
        """Find nothing: all examples were read and checked before the run."""

    def _place(self, array: np.ndarray) -> Any:
        return self._strategy.experimental_distribute_values_from_function(
            lambda _: tf.convert_to_tensor(array)
        )
