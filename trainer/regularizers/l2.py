"""L2 penalty: pulls weights towards zero, large ones most."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("lockstep")
class L2(keras.regularizers.Regularizer):
    """Sum of squares: sum factor * w^2.

    Args:
        factor: strength, >= 0, loss per squared unit of weight.
    """

    def __init__(self, factor: float = 0.01) -> None:
        self.factor = factor

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Return the penalty of the weights x (float[...]), float32[]."""
        return self.factor * tf.reduce_sum(tf.square(x))

    def get_config(self) -> dict[str, float]:
        """Return the arguments of the constructor."""
        return {"factor": self.factor}
