"""A hash of every variable on every replica: a difference is silent data corruption.

Replicas compute the same update, each from its own copy of the state. A bit flipped by memory or a
card stays in that copy, and through the sums of gradients makes the state of all replicas wrong.
"""

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from trainer.engine import sharding
from trainer.engine.gathering import from_replicas
from trainer.engine.sharding import Shards

_ROW = 1 << 14
# Odd, so that a change of one element always changes the hash: an odd number divides no power of
# two. A bit generator of NumPy gives the same numbers in every version.
_WEIGHTS = (np.random.Philox(key=0).random_raw(2 * _ROW) | np.uint64(1)).view(np.int64)
_COLUMNS, _ROWS = _WEIGHTS[:_ROW], _WEIGHTS[_ROW:]
_INTEGERS = {1: tf.int8, 2: tf.int16, 4: tf.int32, 8: tf.int64}


def hash_of(value: tf.Tensor, first: int = 0) -> tf.Tensor:
    """Return an int64 scalar: the sum of all bits, as integers, times weights, modulo 2^64.

    Sums of integers are exact, so that no device, no order and no number of threads changes it.

    Args:
        value: of static shape, of any dtype of numbers.
        first: place of its first element: hashes of the parts of a variable add up to its own.
    """
    bits, row, place = _bits(value), first // _ROW, first % _ROW
    if place + bits.shape[0] <= _ROW:  # most variables; few operations, as each costs a run's start
        return tf.reduce_sum(bits * (_COLUMNS[place:][: bits.shape[0]] * _ROWS[row % _ROW]))
    bits = tf.pad(bits, [[place, 0]])
    whole = bits.shape[0] // _ROW * _ROW
    rows = np.resize(_ROWS, row + whole // _ROW + 1)[row:]
    sums = tf.reduce_sum(tf.reshape(bits[:whole], [-1, _ROW]) * _COLUMNS, axis=1)
    rest = tf.reduce_sum(bits[whole:] * _COLUMNS[: bits.shape[0] - whole])
    return tf.reduce_sum(sums * rows[:-1]) + rest * rows[-1]


def make_hashes(
    strategy: tf.distribute.Strategy, state: Mapping[str, keras.Variable], shards: Shards
) -> Callable[[], np.ndarray]:
    """Return a function that gives int64[R, variables]: the same on every worker.

    Every worker has to call it.

    Args:
        strategy: with R replicas.
        state: name -> variable, in the order of the hashes.
        shards: of a variable that exists once there is nothing to compare, and one hash.
    """
    stored = [id(v) in shards.stored for v in state.values()]

    def on_replica() -> tf.Tensor:
        parts = [sharding.share_here(shards, v) for v in state.values()]
        return tf.stack([hash_of(part, first) for part, first in parts])

    of_parts = from_replicas(strategy, on_replica)

    def hashes() -> np.ndarray:
        found = of_parts()
        return np.where(stored, found.sum(axis=0, dtype=np.int64), found)

    return hashes


def gathered(strategy: tf.distribute.Strategy, variable: keras.Variable) -> np.ndarray:
    """Return the copies of a variable on all replicas: [R, ...]; every worker has to call it."""
    return from_replicas(strategy, lambda: tf.convert_to_tensor(variable.value))()


def _bits(value: tf.Tensor) -> tf.Tensor:
    if value.dtype == tf.bool:
        value = tf.cast(value, tf.int8)
    return tf.cast(
        tf.reshape(tf.bitcast(value, _INTEGERS.get(value.dtype.size, tf.int64)), [-1]), tf.int64
    )
