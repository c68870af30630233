"""Random words that are a pure function of numbers: no state, any shape, any device."""

import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd


def mix(words: tf.Tensor) -> tf.Tensor:
    """Return well mixed uint64 words of the shape of `words`.

    Source: SplitMix64, Steele et al., OOPSLA 2014, figure 16.
    """
    words += _GOLDEN
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        shifted = tf.bitwise.right_shift(words, tf.constant(shift, tf.uint64))
        words = tf.bitwise.bitwise_xor(words, shifted) * factor
    return tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, tf.constant(31, tf.uint64)))


def fold(words: tf.Tensor | int, number: tf.Tensor | int) -> tf.Tensor:
    """Return keys of (words, number): fold in one number after the other, uint64[...]."""
    return mix(tf.cast(words, tf.uint64) + mix(tf.cast(number, tf.uint64)))


def uniform(keys: tf.Tensor, index: int) -> tf.Tensor:
    """Return the `index`-th draw of each key from [0, 1): float32 of the shape of `keys`."""
    # 24 bits are what a float32 holds exactly.
    bits = tf.bitwise.right_shift(fold(keys, index), tf.constant(40, tf.uint64))
    return tf.cast(tf.cast(bits, tf.int32), tf.float32) * 2.0**-24
