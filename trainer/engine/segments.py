"""A model cut into segments, each of which is computed again on the way back (`model.remat`).

A step then keeps what passes from one segment to the next, and what is inside of one segment at a
time. With about sqrt(n) segments of n layers both are small.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, section 4.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import masking

from common.exit_codes import ExitCode, RunError
from trainer.engine.rematerialization import rematerialized

Tensors = dict[int, tf.Tensor]
"""id of a symbolic tensor of the model -> what it stands for."""
Segment = tuple[list[Any], set[int]]
"""Nodes of a model, and the tensors that are read after them."""


def cut(model: keras.Model, field: str) -> None:
    """Let a functional or sequential model compute its segments again on the way back.

    Args:
        model: built; its variables, and what it returns, stay as they are.
        field: of the config, for the message.

    Raises:
        RunError: BAD_CONFIG for a model that is no graph of layers.
    """
    graph = getattr(model, "_functional", model)
    if not isinstance(graph, keras.src.models.functional.Functional):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}.remat=true: {type(model).__name__} is no graph of layers that could be cut; "
            "leave it out and make the large layers in `with keras.RematScope('full'):`",
        )
    segments = _segments(graph)
    whole = graph._run_through_graph

    def run_through_graph(inputs: Any, operation_fn: Any, call_fn: Any = None) -> Any:
        if call_fn is not None:  # shapes alone are asked for
            return whole(inputs, operation_fn, call_fn)
        found = dict(zip(map(id, graph.inputs), tf.nest.flatten(inputs), strict=True))
        for segment in segments:
            found, masks = rematerialized(_runner(segment, operation_fn))(found)
            for tensor, mask in zip(found.values(), masks, strict=True):
                masking.set_keras_mask(tensor, mask)
        return tf.nest.pack_sequence_as(
            graph._outputs_struct, [found[id(x)] for x in graph.outputs]
        )

    graph._run_through_graph = run_through_graph


def _segments(graph: Any) -> list[Segment]:
    """Cut the nodes of a graph, in their order, where a single tensor is read later.

    Elsewhere a tensor would be read in two segments, and the terms of its gradient be added in
    another order than without segments: other last bits.
    """
    nodes = [
        node
        for depth in sorted(graph._nodes_by_depth, reverse=True)
        for node in graph._nodes_by_depth[depth]
        if node.operation and not node.is_input
    ]
    size = math.isqrt(len(nodes))
    known, segments, waiting = {id(x) for x in graph.inputs}, [], []
    for index, node in enumerate(nodes):
        waiting.append(node)
        known |= {id(x) for x in node.outputs}
        later = {id(x) for after in nodes[index + 1 :] for x in after.input_tensors}
        needed = known & (later | {id(x) for x in graph.outputs})
        # A penalty of the output reads it, too.
        is_read_once = len(needed) == 1 and not getattr(
            node.operation, "activity_regularizer", None
        )
        if index + 1 == len(nodes) or (len(waiting) >= size and is_read_once):
            segments.append((waiting, needed))
            waiting = []
    return segments


def _runner(segment: Segment, operation_fn: Any) -> Callable[[Tensors], tuple[Tensors, list[Any]]]:
    """Return the function of a segment: the tensors that are read later, and their masks."""
    nodes, needed = segment

    def run(found: Tensors) -> tuple[Tensors, list[Any]]:
        known = dict(found)
        for node in nodes:
            args, kwargs = node.arguments.fill_in(known)
            outputs = operation_fn(node.operation)(*args, **kwargs)
            known |= zip(map(id, node.outputs), tf.nest.flatten(outputs), strict=True)
        made = {i: known[i] for i in sorted(needed)}
        return made, [masking.get_keras_mask(x) for x in made.values()]

    return run
