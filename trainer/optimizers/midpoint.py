"""Midpoint: plain descent that steps halfway back wherever the gradient changes its sign."""

from typing import Any

import keras
import tensorflow as tf


def midpoint_update(  # noqa: PLR0917 - state in, state out, in one order
    w: tf.Tensor,
    g: tf.Tensor,
    w_prev: tf.Tensor,
    g_prev: tf.Tensor,
    first: tf.Tensor,
    learning_rate: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return one variable and its two slots after an update.

    Formula: per element, w' = w - lr * g where g * g_prev >= 0 or in the first step, else
    w' = (w_prev + w) / 2: the sign changed, so a minimum lies between the two. Then
    w_prev' = w and g_prev' = g.

    Args:
        w: float[...], the variable.
        g: float[...], its gradient at `w`.
        w_prev: float[...], the variable one update ago.
        g_prev: float[...], the gradient at `w_prev`.
        first: bool[], whether there was no update yet.
        learning_rate: float[], per update.

    Returns:
        (w', w_prev', g_prev'), each float[...].
    """
    goes_on = tf.logical_or(first, g * g_prev >= 0)
    return tf.where(goes_on, w - learning_rate * g, (w_prev + w) / 2), w, g


@keras.saving.register_keras_serializable("lockstep")
class Midpoint(keras.optimizers.Optimizer):
    """Keras optimizer of `midpoint_update`; the pattern of every custom optimizer.

    The rule is a free function of tensors. The class only reads variables, calls it, and writes
    through `self.assign`, so that the trainer can leave out a step whose numbers are not finite.

    Args:
        learning_rate: float or a Keras schedule, per update.
        name: of the optimizer and its slots.
        **kwargs: what `keras.optimizers.Optimizer` takes.
    """

    def __init__(self, learning_rate: Any = 0.01, *, name: str = "midpoint", **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)

    def build(self, variables: list[keras.Variable]) -> None:
        """Create two slots for each variable, zero until the first update."""
        if self.built:
            return
        super().build(variables)
        self.w_prev = self.add_optimizer_variables(variables, "w_prev")
        self.g_prev = self.add_optimizer_variables(variables, "g_prev")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable; a sparse gradient counts as zero where it has no rows."""
        index = self._get_variable_index(variable)
        slots = variable, self.w_prev[index], self.g_prev[index]
        w, w_prev, g_prev = (tf.convert_to_tensor(slot) for slot in slots)
        new = midpoint_update(
            w,
            tf.cast(tf.convert_to_tensor(gradient), w.dtype),
            w_prev,
            g_prev,
            first=keras.ops.equal(self.iterations, 0),
            learning_rate=tf.cast(learning_rate, w.dtype),
        )
        for slot, value in zip(slots, new, strict=True):
            self.assign(slot, value)
