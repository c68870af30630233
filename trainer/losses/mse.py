"""Mean squared error, written out as a custom loss: copy this file to write your own."""

import keras
import tensorflow as tf

from trainer.losses.shapes import align, mean_per_example


@keras.saving.register_keras_serializable("lockstep")
class MeanSquaredError(keras.losses.Loss):
    """Squared difference, averaged over the outputs of one example.

    Formula: loss_b = (1 / D) * sum_d (y_bd - f_bd)^2 for D outputs.

    What a custom loss must keep to: `call` returns one value for each example, float32[B], never
    a scalar. The trainer divides by the size of the whole global batch, which no replica sees.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the loss of each example.

        Args:
            y_true: number[B] or number[B, ...], targets y, as many elements as `y_pred`.
            y_pred: float[B] or float[B, ...], predictions f.

        Returns:
            float32[B], the targets' unit squared.
        """
        y_true, y_pred = align(y_true, y_pred)
        return mean_per_example(tf.square(y_true - y_pred))
