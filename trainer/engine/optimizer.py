"""Keras optimizers as pure functions: the one place that touches Keras' private hooks.

On the TensorFlow backend `Optimizer.apply` reduces gradients and writes variables through
`tf.distribute`. Ours arrive reduced, and a step must be able to leave out an update on all
replicas alike, so the backend-neutral implementations of the base class are put back: then, inside
`keras.StatelessScope`, `apply` only records new values. Pinned to the Keras version in the lock
file and tested against it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

Kept = dict[int, tuple[tf.Tensor, tf.Tensor]]
"""id of a value -> (the value, the condition under which it differs from the old one)."""
_WRITES = ("assign", "assign_add", "assign_sub")
_HOOKS = (
    *_WRITES,
    "_apply_weight_decay",
    "_backend_update_step",
    "_var_key",
)
_BASE = next(c for c in keras.optimizers.Optimizer.__mro__ if c.__name__ == "BaseOptimizer")
_TF = next(c for c in keras.optimizers.Optimizer.__mro__ if c.__name__ == "TFOptimizer")


def make_pure(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Let a built optimizer's `apply` work inside `keras.StatelessScope`.

    Methods that a subclass overrides stay as they are.
    """
    for hook in _HOOKS:
        if getattr(type(optimizer), hook) is getattr(_TF, hook):
            setattr(optimizer, hook, getattr(_BASE, hook).__get__(optimizer))
    # The slots were filed under the TensorFlow variables, which are plain tensors in the scope.
    places = {id(v): i for i, v in enumerate(optimizer._trainable_variables)}
    optimizer._trainable_variables_indices = places
    return optimizer


def update(
    optimizer: keras.optimizers.Optimizer,
    grads: Sequence[tf.Tensor],
    to: Sequence[keras.Variable],
    condition: tf.Tensor,
) -> Kept:
    """Update the variables `to` and the slots where `condition`, bool[], holds; in the scope.

    Returns:
        What was written under the condition. Other writes of the optimizer, such as the count of
        updates, are not conditional.
    """
    kept: Kept = {}

    def assign(variable: keras.Variable, value: Any) -> None:
        # What stood there before the step: weight decay has written `variable.value` already.
        old = tf.convert_to_tensor(variable._value)
        variable.assign(choose(condition, tf.cast(tf.convert_to_tensor(value), old.dtype), old))
        kept[id(variable.value)] = (variable.value, condition)

    writes = {
        "assign": assign,
        "assign_add": lambda variable, value: assign(variable, variable + value),
        "assign_sub": lambda variable, value: assign(variable, variable - value),
    }
    with _replaced(optimizer, writes):
        optimizer.apply(list(grads), list(to))
    return kept


def choose(condition: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    """Return `new` where the one condition, bool[], holds, else `old`.

    `tf.where` would spread the condition over every element: 48 us for 100,352 of them, not 2.
    """
    return tf.raw_ops.Select(condition=condition, x=new, y=old)


@contextlib.contextmanager
def _replaced(optimizer: keras.optimizers.Optimizer, writes: dict[str, Any]) -> Iterator[None]:
    own = {name: vars(optimizer)[name] for name in writes if name in vars(optimizer)}
    for name in own:
        setattr(optimizer, name, writes[name])
    try:
        yield
    finally:
        for name, hook in own.items():
            setattr(optimizer, name, hook)
