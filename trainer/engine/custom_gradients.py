"""Gradients that the user's code defines: of what the function is given, and of nothing besides.

In a microbatch a weight is a tensor. Where TensorFlow would ask a `tf.custom_gradient` for the
gradients of the variables that it reads, here it sees none, and they would be lost without a word.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import custom_gradient

from common.exit_codes import ExitCode, RunError
from trainer import user_code


@contextlib.contextmanager
def reading_only_arguments(weights: Mapping[str, tf.Tensor]) -> Iterator[None]:
    """Refuse a function with a gradient of its own that reads a weight past its arguments.

    Args:
        weights: path -> what stands for the weight.

    Raises:
        RunError: BAD_CONFIG naming the weight.
    """
    original = custom_gradient._graph_mode_decorator
    paths = {id(tensor): path for path, tensor in weights.items()}

    def checked(function: Any, args: Any, kwargs: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        found = original(function, args, kwargs)
        given = {id(tf.convert_to_tensor(x)) for x in tf.nest.flatten(args)}
        for op in graph.get_operations()[before:]:
            for tensor in op.inputs:
                if id(tensor) in paths.keys() - given:
                    raise _refusal(paths[id(tensor)])
        return found

    custom_gradient._graph_mode_decorator = checked
    try:
        yield
    finally:
        custom_gradient._graph_mode_decorator = original


def _refusal(path: str) -> RunError:
    line = user_code.calling_line()
    return RunError(
        ExitCode.BAD_CONFIG,
        f"{line + ': ' if line else ''}a function with a gradient of its own (tf.custom_gradient, "
        f"tf.recompute_grad) reads {path} past its arguments, and its gradient would be lost; give "
        "it the weight as an argument, or write keras.remat in place of tf.recompute_grad",
    )
