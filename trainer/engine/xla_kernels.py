"""Operations that XLA cannot compile: named, where a compiled mode ends for one of them.

TensorFlow names the compiled function and not the operation, and only when it runs.
"""

import re
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.framework import kernels

from common.exit_codes import ExitCode, RunError
from trainer.engine import graphs

# The compiler itself turns these into a program.
_NO_KERNEL_NEEDED = (
    "Placeholder",
    "PartitionedCall",
    "StatefulPartitionedCall",
    "Print",
    "PrintV2",
)

# What XLA has a kernel for, and still cannot compile: a size that only a value tells.
_UNKNOWN_SIZE = re.compile(r"Input \d+ to node `(\S+)` with op \w+ must be a compile-time constant")


def refusal(graph: tf.Graph, error: tf.errors.OpError) -> RunError | None:
    """Return the refusal of the operation for which XLA gave up; None: it was something else.

    Args:
        graph: what was to be run.
        error: how it ended.
    """
    if not isinstance(error, tf.errors.InvalidArgumentError) or "tf2xla" not in str(error):
        return None
    for op in [*_without_kernel(graph), *_of_unknown_size(graph, str(error))]:
        return RunError(
            ExitCode.BAD_CONFIG,
            f"{op.name}: XLA cannot compile {op.type}, made by {graphs.made_by(op)}; do this in "
            "the data function or in config.augment, or set config.execution='graph'",
        )
    return None


def _without_kernel(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yield operations without a kernel of XLA; it registers them when it first compiles."""
    for op in graphs.compiled_operations(graph):
        if op.type in _NO_KERNEL_NEEDED:
            continue
        known = kernels.get_registered_kernels_for_op(op.type).kernel
        if not any(kernel.device_type.endswith("_JIT") for kernel in known):
            yield op


def _of_unknown_size(graph: tf.Graph, said: str) -> Iterator[tf.Operation]:
    """Yield the operation that the compiler names for a size that depends on a value."""
    if named := _UNKNOWN_SIZE.search(said):
        yield from (op for op in graphs.compiled_operations(graph) if op.name == named[1])
