"""A traced graph: its operations, those of the functions it calls, and the lines they are from."""

import pathlib
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from trainer import user_code

_LIBRARIES = tuple(
    str(pathlib.Path(path).parent) for path in (tf.__file__, keras.__file__, __file__)
)


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yield the operations of a graph and of the functions it calls, each function once."""
    for each in _graphs(graph, set()):
        yield from each.get_operations()


def compiled_operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yield the operations of the functions that XLA compiles; of a graph with none, all."""
    programs = [op for op in operations(graph) if op.node_def.attr["_XlaMustCompile"].b]
    called = [(op.graph, name) for op in programs for name in _functions(op)]
    for each in [caller._get_function(name).graph for caller, name in called] or [graph]:
        yield from operations(each)


def users(graph: tf.Graph, captured: Sequence[tf.Tensor]) -> Iterator[tf.Operation]:
    """Yield the operations, also in functions, that take one of the captured tensors."""
    wanted = {id(tensor) for tensor in captured}
    for each in _graphs(graph, set()):
        for external, internal in getattr(each, "captures", ()):
            if id(external) in wanted:
                yield from internal.consumers()


def _graphs(graph: tf.Graph, seen: set[str]) -> Iterator[tf.Graph]:
    yield graph
    # In the order of their use: names count all functions that were made before.
    for name in [name for op in graph.get_operations() for name in _functions(op)]:
        if name in seen:
            continue
        seen.add(name)
        # The public library of functions knows no lines of code.
        # Nor do functions of TensorFlow 1, which only TensorFlow itself still makes (CTC).
        if (inner := getattr(graph._get_function(name), "graph", None)) is not None:
            yield from _graphs(inner, seen)


def _functions(op: tf.Operation) -> list[str]:
    attributes = [value for _, value in sorted(op.node_def.attr.items())]
    functions = [f for a in attributes for f in (a.func, *a.list.func)]
    return [function.name for function in functions if function.name]


def users_line(op: tf.Operation) -> str:
    """Return the innermost line of the user's, "file.py:12"; where there is none, as `made_by`."""
    return _line(op, user_code.is_users) or made_by(op)


def made_by(op: tf.Operation) -> str:
    """Return the innermost line outside the libraries and the engine: "file.py:12"."""
    return _line(op, lambda file: not file.startswith(_LIBRARIES)) or "TensorFlow"


def _line(op: tf.Operation, is_meant: Callable[[str], bool]) -> str:
    for frame in reversed(op.traceback or ()):  # of some captures there is none
        if is_meant(frame.filename):
            return f"{frame.filename}:{frame.lineno}"
    return ""
