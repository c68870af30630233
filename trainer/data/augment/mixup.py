"""Blend every example with its neighbour in the microbatch, labels too."""

import functools

import numpy as np
import tensorflow as tf

from trainer.data.augment import Batch
from trainer.data.augment.hashing import uniform

_QUANTILES = 1025


def mixup(
    batch: Batch,
    keys: tf.Tensor,
    *,
    alpha: float = 0.2,
    feature: str = "image",
    label: str = "label",
) -> Batch:
    """Return x = m x_i + (1 - m) x_j of images and one-hot labels, m ~ Beta(alpha, alpha).

    j is the next example of the microbatch, which is the same on every topology; a batch is not.
    Labels are one-hot in training and in evaluation: use the loss `categorical_crossentropy` and
    the metric `categorical_accuracy`.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, equation 1.
    """
    place = uniform(keys, 0) * (_QUANTILES - 1)
    table = tf.constant(_beta_quantiles(alpha))
    below = tf.cast(place, tf.int32)
    low, high = tf.gather(table, below), tf.gather(table, below + 1)
    share = low + (high - low) * (place - tf.cast(below, tf.float32))

    def blend(values: tf.Tensor) -> tf.Tensor:
        mine = tf.reshape(share, [*share.shape, *([1] * (values.shape.rank - 2))])
        return mine * values + (1 - mine) * tf.roll(values, -1, axis=1)

    return {**batch, feature: blend(batch[feature]), label: blend(batch[label])}


@functools.cache
def _beta_quantiles(alpha: float) -> np.ndarray:
    """Return quantiles 0, 1/1024, ..., 1 of Beta(alpha, alpha), float32[1025].

    With x = sin(t)^2 the density has no more than an integrable edge, for any alpha above 0.
    """
    cells = 1 << 16
    t = (np.arange(cells) + 0.5) * (np.pi / 2 / cells)
    density = (np.sin(t) * np.cos(t)) ** (2 * alpha - 1)
    cumulated = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    edges = np.sin(np.arange(cells + 1) * (np.pi / 2 / cells)) ** 2
    return np.interp(np.linspace(0, 1, _QUANTILES), cumulated, edges).astype(np.float32)
