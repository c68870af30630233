"""Operations without a deterministic GPU kernel: found in the graph of a step, and refused.

TensorFlow refuses them too under `enable_op_determinism`, but one at a time, when the operation
runs, and without the line of code that made it.

Source: every message of TensorFlow 2.21.0's GPU library that says so ("Determinism is not yet
supported ...", "A deterministic GPU implementation of ... is not currently available").
"""

from collections.abc import Callable, Iterator

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine import graphs
from trainer.engine.step import Microbatches, Sums

INSTEAD = {
    "AdjustContrast": "(x - mean) * factor + mean with tf.reduce_mean",
    "AdjustContrastv2": "(x - mean) * factor + mean with tf.reduce_mean",
    "Bincount": "tf.reduce_sum(tf.one_hot(x, size), axis=0)",
    "CropAndResizeGradBoxes": "tf.image.resize, or tf.stop_gradient around the boxes",
    "CropAndResizeGradImage": "tf.slice and tf.image.resize",
    "DebugNumericSummaryV2": "tf.debugging.check_numerics",
    "DenseBincount": "tf.reduce_sum(tf.one_hot(x, size), axis=0)",
    "Dilation2DBackpropFilter": "keras.layers.MaxPooling2D or a convolution",
    "Dilation2DBackpropInput": "keras.layers.MaxPooling2D or a convolution",
    "FakeQuantWithMinMaxVarsGradient": "tf.quantization.fake_quant_with_min_max_args",
    "FakeQuantWithMinMaxVarsPerChannelGradient": "tf.quantization.fake_quant_with_min_max_args",
    "FusedBatchNormGrad": "keras.layers.BatchNormalization",
    "FusedBatchNormGradV2": "keras.layers.BatchNormalization",
    "FusedBatchNormGradV3": "keras.layers.BatchNormalization",
    "MaxPoolGradWithArgmax": "tf.nn.max_pool2d",
    "ResizeNearestNeighborGrad": "tf.repeat, or method='bilinear'",
    "ScatterAdd": "a tf.Variable of TensorFlow 2",
    "ScatterDiv": "a tf.Variable of TensorFlow 2",
    "ScatterMax": "a tf.Variable of TensorFlow 2",
    "ScatterMin": "a tf.Variable of TensorFlow 2",
    "ScatterMul": "a tf.Variable of TensorFlow 2",
    "ScatterSub": "a tf.Variable of TensorFlow 2",
    "ScatterUpdate": "a tf.Variable of TensorFlow 2",
    "SoftmaxCrossEntropyWithLogits": "tf.nn.softmax_cross_entropy_with_logits",
    "SparseSoftmaxCrossEntropyWithLogits": "tf.nn.sparse_softmax_cross_entropy_with_logits",
    "SparseTensorDenseMatMul": "tf.matmul of the dense matrix, or tf.gather and a segment sum",
    "Svd": "the norm of the one column",
}
"""Type of operation -> what computes the same on a GPU, in one order."""

_ONLY_IF: dict[str, Callable[[tf.Operation], bool]] = {
    "DebugNumericSummaryV2": lambda op: op.get_attr("tensor_debug_mode") in (3, 4),  # *_HEALTH
    "FusedBatchNormGrad": lambda op: not op.get_attr("is_training"),
    "FusedBatchNormGradV2": lambda op: not op.get_attr("is_training"),
    "FusedBatchNormGradV3": lambda op: not op.get_attr("is_training"),
    "Svd": lambda op: op.inputs[0].shape[-1] == 1,
}


def checked(step_fn: Callable[[Microbatches], Sums]) -> Callable[[Microbatches], Sums]:
    """Return `step_fn` with its graph looked through when it is traced, before it runs at all."""

    def traced_and_checked(microbatches: Microbatches) -> Sums:
        sums = step_fn(microbatches)
        refuse(tf.compat.v1.get_default_graph())
        return sums

    return traced_and_checked


def refuse(graph: tf.Graph) -> None:
    """Refuse a graph with an operation that has no deterministic GPU kernel.

    Raises:
        RunError: BAD_CONFIG with the operation, the line that made it, and what to use instead.
    """
    for op in without_kernel(graph):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{op.type} has no deterministic kernel on a GPU ({op.name}, made by "
            f"{graphs.made_by(op)}); use {INSTEAD[op.type]}, or make it under "
            "tf.device('CPU:0'), or compile with config.execution='xla_loop'",
        )


def without_kernel(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yield the operations of a graph, and of the functions it calls, that a GPU has to refuse."""
    for op in graphs.operations(graph):
        asked_for = op.type in INSTEAD and "CPU" not in op.device
        if asked_for and _ONLY_IF.get(op.type, lambda _: True)(op):
            yield op
