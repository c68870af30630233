"""Functions that are computed again on the way back, so that nothing in them has to be kept.

`tf.recompute_grad`, which Keras uses, watches variables; in a microbatch a weight is a tensor, and
its gradient would be lost. Here every tensor that the function reads from outside has a gradient.
What the function assigns (statistics, the state of a random draw) is assigned once, by its first
run; the second begins with the same values, and so draws the same numbers.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.python.eager import record

from trainer.engine.scopes import MicrobatchScope

Function = Callable[..., Any]
_scope = contextvars.ContextVar[MicrobatchScope | None]("scope of a microbatch", default=None)
# The module that `keras.remat` asks; Keras 3.16 renames it.
_NAMES = ("core", "ops")
_backend = next(x for name in _NAMES if (x := getattr(keras.src.backend, name, None)))
_original = _backend.remat


@contextlib.contextmanager
def rematerializing(scope: MicrobatchScope) -> Iterator[None]:
    """Let `keras.remat` and `keras.RematScope` work meanwhile, in the scope of a microbatch."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


def rematerialized(function: Function, otherwise: Function | None = None) -> Function:
    """Return a function that keeps its inputs and outputs for the way back, and nothing between.

    Args:
        function: of tensors; it may read and assign state as any code of a step.
        otherwise: what is called outside of a step; by default the function itself.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = _scope.get()
        if scope is None:
            return (otherwise or function)(*args, **kwargs)
        if scope.tape is None:  # an evaluation, or the first run of what is around it
            return function(*args, **kwargs)
        return _Call(function, scope, args, kwargs).outputs()

    return call


class _Call:
    """One call of a function, and what its second run has to begin with."""

    def __init__(self, function: Function, scope: MicrobatchScope, args: Any, kwargs: Any) -> None:
        self._function, self._scope, self._given = function, scope, (args, kwargs)
        self._values = scope.values()
        self._read: list[tf.Tensor] = []

    def outputs(self) -> Any:
        """Run the function; return its outputs, and assign and add what it did."""
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        with record.stop_recording():
            returned, inner = self._run({}, None)
        self._read = _read_from_outside(graph.get_operations()[before:])
        returned, losses = self._connected((returned, inner.losses))
        for variable, value in inner.assigned():
            variable.assign(value)
        for layer, loss in zip(inner.loss_layers, losses, strict=True):
            layer.add_loss(loss)
        return returned

    def _run(
        self, late: Mapping[int, tf.Tensor], tape: tf.GradientTape | None
    ) -> tuple[Any, MicrobatchScope]:
        """Run the function with some tensors, by their id, replaced by others."""
        args, kwargs = tf.nest.map_structure(lambda x: late.get(id(x), x), self._given)
        inner = self._scope.inner([(v, late.get(id(x), x)) for v, x in self._values], tape)
        with inner, rematerializing(inner):
            return self._function(*args, **kwargs), inner

    def _connected(self, outputs: Any) -> Any:
        """Return the outputs, the floats among them with a gradient by what was read."""
        flat = tf.nest.flatten(outputs)
        places = _floats(flat)

        @tf.custom_gradient
        def connected(*_: tf.Tensor) -> Any:
            return [tf.identity(flat[i]) for i in places], self._gradient

        if places and self._read:
            for place, tensor in zip(places, connected(*self._read), strict=True):
                flat[place] = tensor
        return tf.nest.pack_sequence_as(outputs, flat)

    def _gradient(self, *upstream: tf.Tensor) -> list[tf.Tensor | None]:
        """Run the function again, not before `upstream` is there; return its gradient."""
        late, before = self._late(upstream)
        replaced = dict(zip(map(id, self._read), late, strict=True))
        with before, tf.GradientTape(watch_accessed_variables=False) as tape:
            # A tensor that the function reads past its arguments and the state stays itself.
            tape.watch([*late, *self._read])
            returned, inner = self._run(replaced, tape)
        flat = tf.nest.flatten((returned, inner.losses))
        by_both: list[list[tf.Tensor | None]] = tape.gradient(
            [flat[i] for i in _floats(flat)], [late, self._read], list(upstream)
        )
        return [_sum(pair) for pair in zip(*by_both, strict=True)]

    def _late(
        self, upstream: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], contextlib.AbstractContextManager[None]]:
        """Return what was read as tensors that no compiler takes for the same, and when to run."""
        if self._scope.in_program:
            both = gen_xla_ops.xla_optimization_barrier([*self._read, *upstream])
            return list(both[: len(self._read)]), contextlib.nullcontext()
        after = tf.control_dependencies(upstream)
        return [tf.identity(x) for x in self._read], after


def _read_from_outside(made: Sequence[tf.Operation]) -> list[tf.Tensor]:
    """Return the floats that these operations read and did not make, in order."""
    own = set(made)
    read = {id(x): x for op in made for x in op.inputs if x.op not in own and x.dtype.is_floating}
    return list(read.values())


def _floats(values: Sequence[Any]) -> list[int]:
    return [i for i, x in enumerate(values) if tf.is_tensor(x) and x.dtype.is_floating]


def _sum(pair: Sequence[tf.Tensor | None]) -> tf.Tensor | None:
    present = [x for x in pair if x is not None]
    return tf.add_n(present) if present else None


# For good: a layer may ask for it when it is made, long before a microbatch.
_backend.remat = lambda function: rematerialized(function, _original(function))
