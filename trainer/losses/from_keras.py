"""Losses of Keras as a step needs them: in float32, one value per example, masks as weights."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.losses.shapes import WeightedLosses, align, mean_per_example

LossFn = Callable[..., tf.Tensor]
_DECIDED = {"from_logits", "axis"}  # decided here


def adapted(loss: Any) -> Any:
    """Return a loss function of Keras with its adapter, and every other loss as it is.

    Classes of Keras turn class numbers into float32, which merges numbers above 2^24. That is why
    the registry names the functions.
    """
    module = getattr(loss, "__module__", None) or ""
    is_from_keras = inspect.isfunction(loss) and module.partition(".")[0] == "keras"
    return FromKeras(loss) if is_from_keras else loss


def is_of_one_output(loss: Any) -> bool:
    """Whether a loss takes labels and predictions as one tensor each, as those of Keras do."""
    function = getattr(loss, "func", loss)
    inside = getattr(function, "loss", function)
    module = type(inside).__module__ if not inspect.isfunction(inside) else inside.__module__
    return module.startswith(("keras.", "trainer.losses."))


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
            parameters=[p for n, p in known.items() if n not in _DECIDED or p.default is None]
        )

    def __call__(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, **args: Any
    ) -> tf.Tensor | WeightedLosses:
        """Return the loss of each example, the mean over its positions or outputs that count.

        Args:
            y_true: number[B, ...], as many elements as `y_pred`; for the sparse cross-entropy
                int[B], int[B, 1] or int[B, ...], class numbers in [0, K).
            y_pred: float[B, ...], predictions, or logits where the loss is one of probabilities.
            **args: of the function.

        Returns:
            float32[B]; with what each counts where a mask leaves out positions.
        """
        mask = keras_mask(y_pred)
        y_pred = tf.cast(y_pred, tf.float32)
        if self._function is keras.losses.sparse_categorical_crossentropy:
            y_true = tf.reshape(y_true, tf.shape(y_pred)[:-1])
        else:
            # Keras takes the mean over the last axis, which here may be that of the examples.
            outputs = y_pred if y_pred.shape.rank > 1 else y_pred[:, tf.newaxis]
            y_true, y_pred = align(y_true, outputs)
        losses = self._function(y_true, y_pred, **self._fixed, **args)
        _refuse_one_number(losses, self._function)
        return per_example(losses, mask)


class PerExample:
    """Calls a `keras.losses.Loss` for the loss of each example, without its sum over the batch.

    Args:
        loss: whose `call` returns float[B, ...].

    Raises:
        RunError: BAD_CONFIG for a sum over the batch.
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        if loss.reduction == "sum":
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.loss: {type(loss).__name__} has reduction='sum', and the loss of a batch "
                "is the mean over its examples; leave it out, and raise the learning rate instead",
            )
        self.loss = loss
        loss.reduction = "none"
        has_own_call = type(loss).__call__ is not keras.losses.Loss.__call__
        self._call = loss if has_own_call else loss.call

    def __call__(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor | WeightedLosses:
        """Return the loss of each example, as `FromKeras` does."""
        mask = keras_mask(y_pred)
        y_true, y_pred = tf.nest.map_structure(
            lambda x: keras.ops.convert_to_tensor(x, dtype=self.loss.dtype), (y_true, y_pred)
        )
        with user_code.answerable(self.loss):
            losses = tf.convert_to_tensor(self._call(y_true, y_pred))
        _refuse_one_number(losses, type(self.loss))
        return per_example(losses, mask)


def as_per_example(loss: Any) -> Any:
    """Return a loss of Keras as one of each example, and any other as it is."""
    return PerExample(loss) if isinstance(loss, keras.losses.Loss) else loss


def _refuse_one_number(losses: tf.Tensor, of: Any) -> None:
    """Refuse a loss of Keras over all examples that could be one of each (Dice, Tversky)."""
    if losses.shape.rank == 0 and "axis" in inspect.signature(of).parameters:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.loss: {of.__name__} is one number for a microbatch, so it would depend on how "
            "the batch is cut; give config.loss.args.axis=[1, 2, ...], all axes but that of the "
            "examples, for a loss of each example",
        )


def per_example(losses: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor | WeightedLosses:
    """Return the loss of each example, and with masks what it counts.

    Formula: with m = 1 where both the mask of the predictions and that of the loss hold, example
    i has sum_t m_it l_it / n_i and counts n_i = sum_t m_it. As in Keras the mean over a batch is
    then sum m l / sum m.

    Args:
        losses: float[B, ...]; a mask that Keras put on it (`ignore_class`) counts.
        mask: bool[B, ...] of the predictions, or None.
    """
    masks = [m for m in (mask, keras_mask(losses)) if m is not None]
    losses = tf.cast(losses, tf.float32)
    if losses.shape.rank == 0 or not (masks or losses.shape.rank > 1):
        return losses
    if not masks:
        return mean_per_example(losses)
    counted = tf.ones_like(losses)
    for each in masks:
        counted *= _shaped(tf.cast(each, tf.float32), losses)
    rest = list(range(1, losses.shape.rank))
    counts = tf.reduce_sum(counted, rest)
    # A position that does not count may have any loss, even an infinite one.
    total = tf.reduce_sum(tf.where(counted > 0, losses * counted, 0.0), rest)
    return WeightedLosses(tf.math.divide_no_nan(total, counts), counts)


def keras_mask(values: Any) -> tf.Tensor | None:
    """Return the mask that a layer or loss of Keras put on a tensor, or None."""
    return getattr(values, "_keras_mask", None)


def masked(values: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Return the tensor with the mask on it, as a layer of Keras would."""
    if mask is not None:
        values._keras_mask = mask
    return values


def _shaped(mask: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """Return the mask with the rank of the losses, as Keras brings weights to it."""
    if mask.shape.rank == losses.shape.rank + 1 and mask.shape[-1] == 1:
        return tf.squeeze(mask, -1)
    while mask.shape.rank < losses.shape.rank:
        mask = mask[..., tf.newaxis]
    return mask
