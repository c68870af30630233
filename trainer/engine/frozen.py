"""Randomness that a trace has frozen: the same numbers in every microbatch and step.

Python runs once, while a step is traced. What it draws (NumPy, `random`, a clock) is a constant of
the graph, and no operation is left that an audit could see. Traced a second time, it draws another
one: constants that differ between two traces were made by Python.
"""

import itertools
from collections.abc import Iterator

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import user_code
from trainer.engine import graphs

_INSTEAD = "draw with keras.random, or with tf.random.stateless_* and microbatch.seed()"
_MEANT = "if one draw for the whole run is meant, make it in `build` of a layer, with add_weight"


def refuse(first: tf.Graph, second: tf.Graph) -> None:
    """Refuse a step that draws the same numbers in every microbatch and step.

    Args:
        first: the step as it was traced.
        second: the same, traced again.

    Raises:
        RunError: BAD_CONFIG with the line of the user's.
    """
    for one, other in itertools.zip_longest(_users(first), _users(second)):
        place = graphs.made_by(one or other)
        if one is None or other is None or one.type != other.type:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{place}: the step is another one when it is traced again: what Python decides "
                "(random, a counter, a clock) is decided once for the whole run; decide with "
                "tf.cond or tf.where, by numbers of the step",
            )
        if _constant(one) != _constant(other):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{place}: a number that Python makes (NumPy, random, a clock) is another one when "
                "the step is traced again: it would be drawn once, and stay the same in every "
                f"microbatch and step; {_INSTEAD}",
            )
        if one.type.startswith("StatelessRandom") and _is_fixed(one):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{place}: the seed is a constant: every microbatch and step draws the same "
                f"numbers; {_INSTEAD}; {_MEANT}",
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
