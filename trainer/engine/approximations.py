"""Operations of TensorFlow for which each make of processor has an approximation of its own.

`rsqrt` and `reciprocal` begin with an instruction whose last bits the make decides. Square roots
and quotients are exact to the last bit, by IEEE 754, on all of them.
"""

from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_math_ops

from trainer.runtime import portable

INSTEAD = {
    "Rsqrt": "write 1 / tf.sqrt(x)",
    "Reciprocal": "write 1 / x",
    "Inv": "write 1 / x",
}
"""Type of operation -> what has the same bits everywhere."""


def rsqrt(x: Any, name: str | None = None) -> tf.Tensor:
    """Return 1 / sqrt(x); with portable kernels by its two exact parts."""
    if not portable.is_portable():
        return _rsqrt(x, name)
    root = tf.sqrt(x)
    return tf.divide(tf.ones([], root.dtype), root, name=name)


# For good: `tf.math.rsqrt` ends here, and with it Keras' normalizations and norms.
_rsqrt, gen_math_ops.rsqrt = gen_math_ops.rsqrt, rsqrt
