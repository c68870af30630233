"""Loss functions of Keras as a step needs them: from logits, in float32, one value per example."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer.losses.shapes import align, mean_per_example

LossFn = Callable[..., tf.Tensor]
# Decided here. What an example counts is said by its weight: a class that Keras ignores would
# still be divided by.
_DECIDED = {"from_logits", "axis", "ignore_class"}


def adapted(loss: Any) -> Any:
    """Return a loss function of Keras with its adapter, and every other loss as it is.

    Classes of Keras are left alone too: they turn class numbers into float32, which merges numbers
    above 2^24. That is why the registry names the functions.
    """
    module = getattr(loss, "__module__", None) or ""
    is_from_keras = inspect.isfunction(loss) and module.partition(".")[0] == "keras"
    return FromKeras(loss) if is_from_keras else loss


class FromKeras:
    """Calls a loss function of Keras with logits; `args` are those of the function.

    Args:
        function: of `keras.losses`.
    """

    def __init__(self, function: LossFn) -> None:
        signature = inspect.signature(function)
        known = signature.parameters
        self._function = function
        self._fixed = {"from_logits": True} if "from_logits" in known else {}
        # For the message that names the arguments which a config may give.
        self.__signature__ = signature.replace(
            parameters=[p for name, p in known.items() if name not in _DECIDED]
        )

    def __call__(self, y_true: tf.Tensor, y_pred: tf.Tensor, **args: Any) -> tf.Tensor:
        """Return the loss of each example, the mean over its positions or outputs.

        Args:
            y_true: number[B, ...], as many elements as `y_pred`; for the sparse cross-entropy
                int[B], int[B, 1] or int[B, ...], class numbers in [0, K).
            y_pred: float[B, ...], predictions, or logits where the loss is one of probabilities.
            **args: of the function.

        Returns:
            float32[B].
        """
        y_pred = tf.cast(y_pred, tf.float32)
        if self._function is keras.losses.sparse_categorical_crossentropy:
            y_true = tf.reshape(y_true, tf.shape(y_pred)[:-1])
        else:
            # Keras takes the mean over the last axis, which here may be that of the examples.
            outputs = y_pred if y_pred.shape.rank > 1 else y_pred[:, tf.newaxis]
            y_true, y_pred = align(y_true, outputs)
        return mean_per_example(self._function(y_true, y_pred, **self._fixed, **args))
