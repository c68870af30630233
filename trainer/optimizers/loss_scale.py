"""A dynamic loss scale, for float16: small gradients would be rounded to zero in it."""

from collections.abc import Iterator

import keras
import tensorflow as tf

_LEAST, _MOST = 1.0, 2.0**24


class LossScale:
    """What the mean loss is multiplied by before its gradient is taken; the gradient is divided.

    It is halved after a step that is not finite, which is left out, and doubled after
    `growth_steps` finite ones in a row. Every replica sees the same reduced gradient, so all scale
    alike; the state is saved and digested.

    Args:
        first: scale of the first step.
        growth_steps: finite steps in a row after which the scale is doubled.

    Source: Micikevicius et al., Mixed Precision Training, ICLR 2018, section 3.2.
    """

    def __init__(self, first: float = 2.0**15, growth_steps: int = 2000) -> None:
        self._growth_steps = growth_steps
        self._scale = keras.Variable(first, dtype="float32", trainable=False, name="loss_scale")
        self._finite = keras.Variable(0, dtype="int64", trainable=False, name="finite_steps")

    def state(self) -> Iterator[tuple[str, keras.Variable]]:
        """Name what it remembers."""
        yield "scale", self._scale
        yield "finite_steps", self._finite

    def value(self) -> tf.Tensor:
        """Return the scale, float32[]."""
        return tf.convert_to_tensor(self._scale)

    def update(self, finite: tf.Tensor) -> None:
        """Halve or double the scale; `finite`, bool[], says whether the step was."""
        scale, count = self.value(), tf.convert_to_tensor(self._finite) + 1
        grows = count >= self._growth_steps
        grown = tf.where(grows, tf.minimum(2.0 * scale, _MOST), scale)
        self._scale.assign(tf.where(finite, grown, tf.maximum(scale / 2.0, _LEAST)))
        self._finite.assign(tf.where(finite & ~grows, count, 0))
