"""What a traced step touches besides the state of the run: found in its graph, and refused.

The scopes (`engine.scopes`) see what is done through Keras. What goes past Keras (variables of
TensorFlow, its stateful random operations, Python behind `tf.py_function`) is in the graph. An
operation with state is refused unless it is listed here: one that a later TensorFlow adds, too.
"""

from collections.abc import Callable, Iterable, Iterator, Set
from typing import TypeVar

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine import approximations, graphs, step
from trainer.runtime import portable

Traced = TypeVar("Traced", bound=Callable[..., object])

_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "Case")
_READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape")
_TABLES = ("LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2")
# Memory that lives for one call: `tf.nn.ctc_loss` fills it place by place.
_SCRATCH = ("Empty",)
_CHECKS = ("Assert", "CheckNumerics", "CheckNumericsV2", "Print", "PrintV2")
_ALLOWED = {*_CALLS, *_READS, *_TABLES, *_SCRATCH, *_CHECKS, "Placeholder"}
_EXCHANGES = ("Collective", "Nccl")
_INSTEAD = {
    "Random": "draw with keras.random, or with tf.random.stateless_* and microbatch.seed()",
    "Multinomial": "draw with keras.random.categorical",
    "TruncatedNormal": "draw with keras.random.truncated_normal",
    "StatefulUniform": "draw with keras.random, not with tf.random.Generator",
    "StatefulStandardNormal": "draw with keras.random, not with tf.random.Generator",
    "StatefulTruncatedNormal": "draw with keras.random, not with tf.random.Generator",
    "Rng": "draw with keras.random, not with tf.random.Generator",
    "PyFunc": "write it with operations of TensorFlow, or move it into the data function",
    "EagerPyFunc": "write it with operations of TensorFlow, or move it into the data function",
    "Assign": "assign through Keras: keras.Variable.assign",
    "CudnnRNN": "give the layer use_cudnn=False",
    "Write": "make a metric of it, which is logged",
    "LookupTable": "fill the table before training",
}
"""Start of a type of operation -> what to write in its place."""


def audited(traced: Traced, state: Iterable[keras.Variable]) -> Traced:
    """Return the function with its graph looked through when it is traced, before it runs at all.

    Args:
        traced: runs on a replica, in a graph.
        state: variables that it may read; `engine.step` writes them.

    Raises:
        RunError: (of the returned function) BAD_CONFIG with the operation, the line that made it,
            and what to write instead.
    """
    known = {id(handle) for variable in state for handle in _handles(variable)}
    is_portable = portable.is_portable()

    def traced_and_audited(*args: object) -> object:
        graph = tf.compat.v1.get_default_graph()
        before = set(graph.get_operations())
        made = traced(*args)
        _refuse_stateful(graph, before)
        if is_portable:
            _refuse_approximate(graph, before)
        _refuse_foreign(graph, before, known)
        return made

    return traced_and_audited  # type: ignore[return-value]


def _handles(variable: keras.Variable) -> Iterator[tf.Tensor]:
    """Yield the handles of a variable on every replica."""
    for replica in getattr(variable.value, "values", [variable.value]):
        yield replica.handle


def _refuse_stateful(graph: tf.Graph, before: Set[tf.Operation]) -> None:
    for op in graphs.operations(graph):
        if op in before or not op.op_def.is_stateful or op.type in _ALLOWED:
            continue
        if op.type.startswith(_EXCHANGES) or _is_write_of_the_step(op):
            continue
        advice = [text for start, text in _INSTEAD.items() if op.type.startswith(start)]
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{graphs.users_line(op)}: {op.type} ({op.name}) is no function of the state of the "
            f"run; {(*advice, 'use operations that keep nothing')[0]}",
        )


def _refuse_approximate(graph: tf.Graph, before: Set[tf.Operation]) -> None:
    for op in graphs.operations(graph):
        if op not in before and op.type in approximations.INSTEAD:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{graphs.users_line(op)}: {op.type} ({op.name}) has other bits on another make of "
                f"processor, and config.kernels=portable; {approximations.INSTEAD[op.type]}",
            )


def _is_write_of_the_step(op: tf.Operation) -> bool:
    return any(f.filename == step.__file__ and f.name == "update" for f in op.traceback)


def _refuse_foreign(graph: tf.Graph, before: Set[tf.Operation], known: Set[int]) -> None:
    """Refuse variables that are captured and no state: they are neither saved nor the same."""
    captured = [e for e, _ in graph.captures if e.dtype == tf.resource and id(e) not in known]
    for op in graphs.users(graph, captured):
        if op in before or op.type.startswith((*_TABLES, *_CALLS, *_EXCHANGES)):
            continue
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{graphs.users_line(op)}: {op.type} uses a variable that is no state of the run: it "
            "would not be saved. Make it a keras.Variable and assign it to an attribute of the "
            "task, or make it with add_weight of a layer",
        )
