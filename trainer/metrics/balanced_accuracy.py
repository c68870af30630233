"""Balanced accuracy: a worked example of a custom metric; copy this file to write yours."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("lockstep")
class BalancedAccuracy(keras.metrics.Metric):
    """Accuracy of each class, averaged over the classes that occurred.

    Formula: mean over k with n_k > 0 of c_k / n_k, where n_k is the weight of examples of class
    k and c_k the weight of those classified right.

    What a custom metric must keep to: the state starts at zero, and the state of all data is the
    sum of the states of its parts. Then microbatches and replicas can be added in any number. A
    ratio belongs in `result`, not in the state.

    Args:
        num_classes: K.
        name: under which it is logged.
        dtype: of the state; float32 counts exactly up to 2^24 examples of a class.

    Source: Brodersen et al., The Balanced Accuracy and Its Posterior Distribution, ICPR 2010,
    section II, for K classes.
    """

    def __init__(
        self, num_classes: int, name: str = "balanced_accuracy", dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.hits = self.add_variable((num_classes,), "zeros", name="hits")
        self.seen = self.add_variable((num_classes,), "zeros", name="seen")

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Count a batch.

        Args:
            y_true: int[B] or int[B, 1], class numbers in [0, K).
            y_pred: float[B, K], logits or probabilities.
            sample_weight: float[B], what each example counts, or None for 1.
        """
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        weights = tf.ones_like(labels, tf.float32) if sample_weight is None else sample_weight
        right = tf.argmax(y_pred, axis=-1, output_type=tf.int32) == labels
        seen = tf.one_hot(labels, self.num_classes) * tf.reshape(weights, [-1, 1])
        hits = seen * tf.cast(right, tf.float32)[:, tf.newaxis]
        self.seen.assign(self.seen + tf.reduce_sum(seen, axis=0))
        self.hits.assign(self.hits + tf.reduce_sum(hits, axis=0))

    def result(self) -> tf.Tensor:
        """Return the balanced accuracy so far, float32[] in [0, 1]; 0 before any example."""
        hits, seen = tf.convert_to_tensor(self.hits), tf.convert_to_tensor(self.seen)
        occurred = tf.reduce_sum(tf.cast(seen > 0, tf.float32))
        return tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(hits, seen)), occurred)

    def get_config(self) -> dict[str, object]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "num_classes": self.num_classes}
