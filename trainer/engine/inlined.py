"""Functions of TensorFlow that the user's code calls in a step: what they do is done in the step.

A `tf.function` keeps the graph of its first call, and in it the variables as they were read there:
in another trace no gradient would go to them, and what it assigns or draws would be lost.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.eager.polymorphic_function import autograph_util

# They know why they make one: a collective of TensorFlow has to be in a graph of its own.
_LIBRARIES = ("tensorflow", "keras")
_FUNCTION: Any = type(tf.function(lambda: None))
_original = _FUNCTION.__call__
_in_a_step = contextvars.ContextVar("in_a_step", default=False)


@contextlib.contextmanager
def functions_inlined() -> Iterator[None]:
    """Let a `tf.function` that this thread calls meanwhile run its Python code."""
    token = _in_a_step.set(True)
    try:
        yield
    finally:
        _in_a_step.reset(token)


def _call(function: Any, *args: Any, **kwargs: Any) -> Any:
    module = getattr(function.python_function, "__module__", None) or ""
    # Outside of a graph (`--debug`) TensorFlow itself is told to run the Python code.
    if not _in_a_step.get() or tf.executing_eagerly() or module.partition(".")[0] in _LIBRARIES:
        return _original(function, *args, **kwargs)
    if not function._autograph:
        return function.python_function(*args, **kwargs)
    # The step itself is traced without AutoGraph, which would hold for what it calls.
    with ag_ctx.ControlStatusCtx(ag_ctx.Status.ENABLED):
        body = autograph_util.py_func_from_autograph(function.python_function)
        return body(*args, **kwargs)


# For good: replicas are traced in threads that take turns, and none could put it back for all.
_FUNCTION.__call__ = _call
