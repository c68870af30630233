"""What the replicas hold, side by side on every worker."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.engine import collectives

_TRAVEL = (tf.float16, tf.float32, tf.float64, tf.int32, tf.int64)


def from_replicas(
    strategy: tf.distribute.Strategy, on_replica: Callable[..., tf.Tensor]
) -> Callable[..., np.ndarray]:
    """Return a function that gives what `on_replica` returns on each of R replicas: [R, ...].

    Every worker has to call it.
    """

    def on_each(*args: tf.Tensor) -> tf.Tensor:
        mine = on_replica(*args)[tf.newaxis]
        if strategy.num_replicas_in_sync == 1:
            return mine
        return tf.distribute.get_replica_context().all_gather(mine, axis=0)

    @tf.function(autograph=False)
    def gather(*args: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(on_each, args=args))[0]

    return lambda *args: gather(*args).numpy()


def over_replicas(rows: tf.Tensor) -> tf.Tensor:
    """Return the rows of all replicas in their order, on each: [k, ...] -> [R * k, ...]."""
    context = tf.distribute.get_replica_context()
    if (num_replicas := context.num_replicas_in_sync) == 1:
        return rows
    if collectives.has_slices():
        # Few types travel, and all others are whole numbers: they come back as they were.
        wire = rows.dtype if rows.dtype in _TRAVEL else tf.int64
        return tf.cast(collectives.all_gather(tf.cast(rows, wire)), rows.dtype)
    gathered = context.all_gather(rows, axis=0)
    return tf.ensure_shape(gathered, [num_replicas * rows.shape[0], *rows.shape[1:]])


def of_all_examples(rows: Any) -> Any:
    """Return what all replicas hold for their examples: [k, b, ...] -> [B, ...]."""
    return tf.nest.map_structure(lambda x: tf.reshape(over_replicas(x), [-1, *x.shape[2:]]), rows)


def of_own_examples(whole: tf.Tensor, first: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Return what belongs to the examples of this replica: [B, ...] -> [k, b, ...].

    Args:
        whole: of all examples, in their order.
        first: int64 scalar, number of the first microbatch of this replica.
        size: k and b.
    """
    num_microbatches, num_examples = size
    rows = tf.reshape(whole, [-1, num_examples, *whole.shape[1:]])
    start = tf.concat([[first], tf.zeros([rows.shape.rank - 1], tf.int64)], 0)
    return tf.slice(rows, start, [num_microbatches, *rows.shape[1:]])
