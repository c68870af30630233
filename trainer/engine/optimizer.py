"""Keras optimizers as pure functions: the one place that touches Keras' private hooks.

On the TensorFlow backend `Optimizer.apply` reduces gradients and writes variables through
`tf.distribute`. Ours arrive reduced, and a step must be able to leave out an update on all
replicas alike, so the backend-neutral implementations of the base class are put back: then, inside
`keras.StatelessScope`, `apply` only records new values. Pinned to the Keras version in the lock
file and tested against it.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import user_code

Kept = dict[int, tuple[tf.Tensor, tf.Tensor]]
"""id of a value -> (the value, the condition under which it differs from the old one)."""
_BASE = next(c for c in keras.optimizers.Optimizer.__mro__ if c.__name__ == "BaseOptimizer")
_TF = next(c for c in keras.optimizers.Optimizer.__mro__ if c.__name__ == "TFOptimizer")
_WRITES = ("assign", "assign_add", "assign_sub")
_HOOKS = (*_WRITES, "_apply_weight_decay", "_backend_update_step", "_var_key")


@contextlib.contextmanager
def backend_neutral() -> Iterator[None]:
    """Let optimizers that are made, built or applied meanwhile work inside `keras.StatelessScope`.

    The class is changed and not the object, so that a subclass that overrides a method and calls
    `super()`, as Nadam does, gets the neutral one too.
    """
    originals = {hook: vars(_TF)[hook] for hook in _HOOKS}
    for hook in _HOOKS:
        setattr(_TF, hook, vars(_BASE)[hook])
    try:
        yield
    finally:
        for hook, original in originals.items():
            setattr(_TF, hook, original)


def build_slots(optimizer: keras.optimizers.Optimizer, on: Sequence[keras.Variable]) -> None:
    """Make the slots for the variables `on`."""
    with backend_neutral():
        optimizer.build(on)
    known = {id(variable) for variable in optimizer.variables}
    # Nadam keeps a product of its own that it does not count among its variables.
    for variable in vars(optimizer).values():
        if isinstance(variable, keras.Variable) and id(variable) not in known:
            optimizer._track_variable(variable)
    optimizer.apply = _refuse_direct_update


def set_groups(
    optimizer: keras.optimizers.Optimizer, factors: Mapping[int, float], decays: Mapping[int, float]
) -> None:
    """Give single variables a rate or a weight decay of their own, whatever the optimizer's rule.

    Args:
        optimizer: built; its rule takes the rate from `update_step`, as Keras hands it in.
        factors: id of a variable -> its rate, as a multiple of the optimizer's.
        decays: id of a variable -> its weight decay.
    """
    rule, special = optimizer.update_step, factors.keys() | decays.keys()

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        rule(gradient, variable, learning_rate * factors.get(id(variable), 1.0))

    def apply_weight_decay(variables: Sequence[keras.Variable]) -> None:
        for variable in variables:
            if id(variable) not in special:
                type(optimizer)._apply_weight_decay(optimizer, [variable])
            elif share := decays.get(id(variable), _decay_of(optimizer, variable)):
                rate = optimizer.learning_rate * factors.get(id(variable), 1.0)
                variable.assign(variable - variable * tf.cast(share * rate, variable.dtype))

    optimizer.update_step = update_step
    optimizer._apply_weight_decay = apply_weight_decay


def _decay_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> float:
    return (optimizer.weight_decay or 0.0) if optimizer._use_weight_decay(variable) else 0.0


def count_from_parent(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """Return a new variable of the optimizer: its count of updates when the run began.

    A run that takes slots from its parent takes the count as well, which belongs to them; its
    schedule begins anew.
    """
    count = optimizer.iterations
    first = keras.Variable(0, dtype=count.dtype, trainable=False, name="first_update")
    optimizer._track_variable(first)
    return first


def _refuse_direct_update(*_: Any, **__: Any) -> None:
    """Stand for `apply`, which `apply_gradients` and `minimize` call: only `update` may."""
    line = user_code.calling_line()
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"{line + ': ' if line else ''}the step applies gradients by itself; write "
        "replica.apply(optimizer, grads, variables), with the gradients of "
        "replica.gradient(loss, variables)",
    )


def role_of(
    optimizer: keras.optimizers.Optimizer, known: Mapping[str, keras.optimizers.Optimizer]
) -> str:
    """Return which of the known optimizers it is; refuse any other."""
    for role, one in known.items():
        if one is optimizer:
            return role
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"config.task: replica.apply is given a {type(optimizer).__name__} that the task has made; "
        "use that of a model, self.optimizers[ROLE], which config.optimizers names; roles: "
        f"{', '.join(known)}",
    )


def check_update(
    role: str, optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> None:
    """Refuse an update of nothing, and of variables that the optimizer has no slots for."""
    built = {id(v) for v in optimizer._trainable_variables}
    unknown = [v.path for v in variables if id(v) not in built]
    if unknown or not variables:
        why = (
            f"{unknown[0]} is not among the variables of its model"
            if unknown
            else "the loss depends on none of the variables; look for stop_gradient, a frozen "
            "model, or a loss that does not use the model"
        )
        raise RunError(
            ExitCode.BAD_CONFIG, f"config.task: optimizer {role!r} is applied, but {why}"
        )


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
    with backend_neutral():
        own = [name for name in writes if getattr(type(optimizer), name) is vars(_BASE)[name]]
        for name in own:
            setattr(optimizer, name, writes[name])
        try:
            type(optimizer).apply(optimizer, list(grads), list(to))
        finally:
            for name in own:
                delattr(optimizer, name)
    return kept


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a variable, or all of it.

    Attributes:
        variable: in whose place it is.
        old: what it was before the step.
        value: what it is now, of the same shape.
    """

    variable: keras.Variable
    old: tf.Tensor
    value: tf.Tensor


@contextlib.contextmanager
def standing_for(parts: Sequence[Part]) -> Iterator[None]:
    """Let an optimizer see and assign parts of variables, as if they were all of them.

    Call it in a `keras.StatelessScope`, and read there what was assigned: afterwards the variables
    are in the scope what they were before.
    """
    values = open_scope().state_mapping
    before = [(p.variable, p.variable._shape, p.variable._value) for p in parts]
    known = {id(p.variable): values.get(id(p.variable)) for p in parts}
    for part in parts:
        _set_form(part.variable, tuple(part.value.shape), part.old)
        values[id(part.variable)] = part.value
    try:
        yield
    finally:
        for form in before:
            _set_form(*form)
        values |= known


def _set_form(variable: keras.Variable, shape: tuple[int, ...], value: Any) -> None:
    variable._shape, variable._ndim, variable._value = shape, len(shape), value


def open_scope() -> keras.StatelessScope:
    """Return the scope of Keras that is open here."""
    return keras.src.backend.common.stateless_scope.get_stateless_scope()


def choose(condition: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    """Return `new` where the one condition, bool[], holds, else `old`.

    `tf.where` would spread the condition over every element: 48 us for 100,352 of them, not 2.
    """
    return tf.raw_ops.Select(condition=condition, x=new, y=old)
