"""Randomness that a trace has frozen: the same numbers in every microbatch and step.

Python runs once, while a step is traced. What it draws (NumPy, `random`, a clock) is a constant of
the graph, and no operation is left that an audit could see. Traced a second time, it draws another
one: constants that differ between two traces were made by Python.
"""

import itertools
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.engine import graphs

_INSTEAD = "draw with keras.random, or with tf.random.stateless_* and microbatch.seed()"
_DECIDE = "decide with tf.cond or tf.where, by numbers of the step"
_DECIDES = (
    "from the generator of Python's random or of NumPy while it is traced: what is decided by that "
    f"is decided once for the whole run; {_DECIDE}, or leave it out"
)
_MEANT = "if one draw for the whole run is meant, make it in `build` of a layer, with add_weight"


def traced_alike(trace: Callable[[], tf.Graph]) -> tf.Graph:
    """Trace once, and again if the user's code is in it; return the first graph.

    Args:
        trace: returns the graph of a step, traced anew.

    Raises:
        RunError: BAD_CONFIG with the line of the user's where the two differ: a number that Python
            draws would stay the same in every microbatch and step, and be another after a restart.
    """
    before = _generators()
    first = trace()
    has_drawn = _generators() != before
    if is_users(first) or has_drawn:
        _refuse_difference(first, trace())
    if has_drawn:  # to decide something, and both traces have decided alike
        raise RunError(ExitCode.BAD_CONFIG, f"{_drawer(trace)} draws {_DECIDES}")
    return first


def is_users(graph: tf.Graph) -> bool:
    """Whether a line of the user's has made something in a graph."""
    return next(_users(graph), None) is not None


def _generators() -> tuple[object, str]:
    """Return where the global generators of Python and NumPy stand."""
    return random.getstate(), repr(np.random.get_state())


def _drawer(trace: Callable[[], tf.Graph]) -> str:
    """Return the layer, or else the line of the user's, that draws from a global generator."""
    found = ["config.task: the step"]
    of_python = random.seed.__self__  # type: ignore[attr-defined] # calls of NumPy's are not seen

    def see(frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or getattr(called, "__self__", None) is not of_python:
            return
        holders = (f.f_locals.get("self") for f, _ in traceback.walk_stack(frame))
        layer = next((h for h in holders if isinstance(h, keras.Layer)), None)
        if layer is not None:
            found.append(f"layer {layer.name!r}, a {type(layer).__name__},")
        elif line := user_code.calling_line():
            found.append(f"{line}: the step")

    sys.setprofile(see)
    try:
        trace()
    finally:
        sys.setprofile(None)
    return found[-1]


def _refuse_difference(first: tf.Graph, second: tf.Graph) -> None:
    for one, other in itertools.zip_longest(_users(first), _users(second)):
        place = graphs.made_by(one or other)
        if one is None or other is None or one.type != other.type:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{place}: the step is another one when it is traced again: what Python decides "
                f"(random, a counter, a clock) is decided once for the whole run; {_DECIDE}",
            )
        if _constant(one) != _constant(other):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{place}: a number that Python makes (NumPy, random, a clock) is another one when "
                "the step is traced again: it would be drawn once, and stay the same in every "
                f"microbatch and step; {_INSTEAD}",
            )


def refuse_fixed_seeds(graph: tf.Graph) -> None:
    """Refuse a step that draws the same numbers in every microbatch and step.

    Raises:
        RunError: BAD_CONFIG with the line of the user's.
    """
    for op in _users(graph):
        if op.type.startswith("StatelessRandom") and _is_fixed(op):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{graphs.made_by(op)}: the seed is a constant: every microbatch and step draws "
                f"the same numbers; {_INSTEAD}; {_MEANT}",
            )


def _users(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yield the operations that a line of the user's has made; ours may differ by a counter."""
    for op in graphs.operations(graph):
        if user_code.is_users(graphs.made_by(op).rpartition(":")[0]):
            yield op


def _constant(op: tf.Operation) -> bytes:
    is_constant = op.type == "Const"
    return op.node_def.attr["value"].SerializeToString(deterministic=True) if is_constant else b""


def _is_fixed(op: tf.Operation) -> bool:
    """Whether the seed of a draw, its last inputs, is made of constants only."""
    seeds = [x for x in op.inputs if x.dtype in (tf.int32, tf.int64, tf.uint32, tf.uint64)][1:]
    waiting, seen = [x.op for x in seeds if x.op.type != "StatelessRandomGetAlg"], set()
    while waiting:
        each = waiting.pop()
        if each.type != "Const" and not each.inputs:
            return False  # a placeholder: of the microbatch, or of the step
        seen.add(each.name)
        waiting += [x.op for x in each.inputs if x.op.name not in seen]
    return bool(seeds)
