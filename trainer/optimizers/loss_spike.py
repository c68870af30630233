"""A guard against loss spikes: what a jump of the loss is, as a function of the state alone."""

from collections.abc import Iterator

import keras
import tensorflow as tf

_DECAY = 0.98
_FIRST_UPDATES = 20


class LossSpike:
    """A loss that is over `factor` times the running mean m of the losses before it.

    m' = d * m + (1 - d) * loss after an update, with d = min(0.98, (1 + n) / (10 + n)) after n of
    them. Updates that are left out do not move it. The first 20 updates are never a spike, nor is
    anything while m is not positive, as it may be for the losses of a GAN.

    Args:
        factor: above 1.

    Source: Chowdhery et al., PaLM, 2022, section 5.1, which skips the batches around a spike.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._mean = keras.Variable(0.0, dtype="float32", trainable=False, name="loss_mean")
        self._updates = keras.Variable(0, dtype="int64", trainable=False, name="loss_updates")

    def state(self) -> Iterator[tuple[str, keras.Variable]]:
        """Name what it remembers."""
        yield "mean", self._mean
        yield "updates", self._updates

    def is_spike(self, loss: tf.Tensor) -> tf.Tensor:
        """Return bool[]: whether the mean loss of a step, float32[], is a spike."""
        mean, updates = tf.convert_to_tensor(self._mean), tf.convert_to_tensor(self._updates)
        return (updates >= _FIRST_UPDATES) & (mean > 0) & (loss > self._factor * mean)

    def update(self, loss: tf.Tensor) -> None:
        """Move the mean towards the loss, float32[], of an update that is made."""
        mean, updates = tf.convert_to_tensor(self._mean), tf.convert_to_tensor(self._updates)
        n = tf.cast(updates, tf.float32)
        rest = 1.0 - tf.minimum(_DECAY, (1.0 + n) / (10.0 + n))
        self._mean.assign(mean + rest * (loss - mean))
        self._updates.assign(updates + 1)
