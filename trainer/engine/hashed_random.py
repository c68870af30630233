"""Random bits as a hash of where they are used: cheap inside an XLA program.

XLA on the CPU makes random numbers by Philox at 50-150 ns each; a hash of (key, index) is a few
integer operations that it computes eight at a time. TensorFlow's own Philox kernel is fast, so
nothing here is used outside XLA. The bits drop units; they are not fit for cryptography.

Source: A. Appleby, MurmurHash3 (public domain), the 32-bit finalizer.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

# Digits of the golden ratio and of pi: arbitrary numbers that nobody can have chosen to fit.
_GOLDEN = 0x9E3779B9
_STARTS = (0x243F6A88, 0x85A308D3)


def hashed_bits(key: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Return uint32[shape]: bits that are a pure function of the key and the place in `shape`.

    Args:
        key: int64[2]; keys that differ give unrelated bits.
        shape: static, fewer than 2^32 elements.
    """
    first, second = (_absorb(start, key) for start in _STARTS)
    index = tf.cast(tf.range(math.prod(shape), dtype=tf.int64), tf.uint32)
    return tf.reshape(_mix(_mix(index ^ first) + second), shape)


def hashed_seeds(key: tf.Tensor, count: int) -> tf.Tensor:
    """Return int64[count, 2], a key for each of `count` generators."""
    return tf.cast(hashed_bits(key, [count, 2]), tf.int64)


@contextlib.contextmanager
def hashed_dropout() -> Iterator[None]:
    """Let every Keras layer that drops units while this is open draw them by `hashed_bits`."""
    # The layers ask this module at each call. It has no public hook, so it is replaced while a
    # microbatch is traced and put back at once; nothing is replaced in the compiled program.
    module = keras.src.backend.random
    original = module.dropout
    module.dropout = _dropout
    try:
        yield
    finally:
        module.dropout = original


def _dropout(
    inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> tf.Tensor:
    """Stand in for the function of this name in Keras' backend."""
    inputs = tf.convert_to_tensor(inputs)
    if not 0 < rate < 1:
        return inputs if rate == 0 else tf.zeros_like(inputs)
    wanted = noise_shape or inputs.shape
    pairs = zip(inputs.shape, wanted, strict=True)
    shape = [own if asked is None else asked for own, asked in pairs]
    key = tf.cast(keras.src.random.seed_generator.draw_seed(seed), tf.int64)
    # Compared as whole numbers: no bit has to become a float first.
    keep = hashed_bits(key, shape) >= tf.constant(int(rate * 2**32), tf.uint32)
    return tf.where(keep, inputs * tf.cast(1 / (1 - rate), inputs.dtype), 0)


def _absorb(start: int, key: tf.Tensor) -> tf.Tensor:
    state = tf.constant(start, tf.uint32)
    for word in tf.unstack(tf.reshape(tf.bitcast(key, tf.uint32), [4])):
        state = _mix(state ^ word) + _constant(_GOLDEN)
    return state


def _mix(x: tf.Tensor) -> tf.Tensor:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ tf.bitwise.right_shift(x, _constant(shift))) * _constant(factor)
    return x ^ tf.bitwise.right_shift(x, _constant(16))


def _constant(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)
