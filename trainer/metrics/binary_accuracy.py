"""Accuracy of yes-or-no answers, from logits."""

import keras
import tensorflow as tf


def _hits(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return the fraction of right answers of each example, float32[B]."""
    y_true = tf.reshape(y_true, tf.shape(y_pred))
    hits = tf.cast((y_true > 0.5) == (y_pred > 0.0), tf.float32)
    return tf.reduce_mean(hits, axis=list(range(1, hits.shape.rank)))


@keras.saving.register_keras_serializable("lockstep")
class BinaryAccuracy(keras.metrics.Mean):
    """Mean of [y > 1/2] == [z > 0]: that of Keras takes probabilities only.

    State: the weighted sum of hits and the sum of weights; both add up over replicas.

    Args:
        name: under which it is logged.
        dtype: of the state; float32 counts exactly up to 2^24 examples.
    """

    def __init__(self, name: str = "binary_accuracy", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Count a batch.

        Args:
            y_true: number[B] or number[B, ...], labels y in [0, 1].
            y_pred: float[B] or float[B, ...], logits z, as many elements as `y_true`.
            sample_weight: float[B], what each example counts, or None for 1.
        """
        y_true, y_pred = tf.cast(y_true, tf.float32), tf.cast(y_pred, tf.float32)
        super().update_state(_hits(y_true, y_pred), sample_weight)
