"""Shapes that losses share: every loss ends as one float32 value per example."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class WeightedLosses:
    """Losses of which each counts differently, for what only the loss itself knows: a mask.

    Attributes:
        values: float[b], the loss of each example; the mean over the positions that count.
        counts: float[b], how many these are; multiplied by the example's weight.
    """

    values: tf.Tensor
    counts: tf.Tensor


def mean_per_example(values: tf.Tensor) -> tf.Tensor:
    """Return the mean over all but the first axis.

    Args:
        values: float32[B] or float32[B, ...].

    Returns:
        float32[B].
    """
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def align(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return targets and predictions as float32 of one shape.

    Without this, targets of shape [B] less predictions of shape [B, 1] broadcast to [B, B]: a
    wrong loss without an error.

    Args:
        y_true: number[B, ...], as many elements as `y_pred`.
        y_pred: float[B, ...].

    Returns:
        float32 of the shape of `y_pred`, twice.
    """
    y_pred = tf.cast(y_pred, tf.float32)
    return tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred)), y_pred
