"""Floating-point operations: what a step needs, and what this machine does at best."""

import os
import time
from collections.abc import Iterable

import keras
import tensorflow as tf

from trainer import model_inputs

_LEAST_SECS = 0.02
_ROUNDS = 5


def forward_graph(model: keras.Model, microbatch_size: int) -> tf.Graph:
    """Return the graph of a forward pass over one microbatch."""
    spec = tf.nest.map_structure(
        lambda x: tf.TensorSpec([microbatch_size, *x.shape[1:]], x.dtype), model_inputs.reads(model)
    )
    forward = tf.function(lambda x: model(x, training=False), autograph=False)
    return forward.get_concrete_function(spec).graph


def step_flops(forward: Iterable[tf.Graph], virtual_replicas: int) -> int:
    """Return multiplications and additions of a step: a forward pass counts three times."""
    return 3 * virtual_replicas * sum(map(_flops, forward))


def peak_flops_per_second(dtype: str, num_replicas: int) -> float:
    """Return the rate that square matrix products reach on the devices of this process, measured.

    On the CPU as many of them run side by side as there are cores, each with the threads that the
    config gives an operation; on accelerators one a replica is counted.

    Args:
        dtype: of the factors, "float32" or "bfloat16".
        num_replicas: of this process.
    """
    on_cpu = not tf.config.list_logical_devices("GPU") and not tf.config.list_logical_devices("TPU")
    at_once = len(os.sched_getaffinity(0)) if on_cpu else 1
    size, seconds = 256, 0.0
    while seconds < _LEAST_SECS:
        size *= 2
        seconds = _product_secs(size, dtype, at_once)
    rate = 2 * size**3 * at_once / seconds
    return rate if on_cpu else rate * num_replicas


def _product_secs(size: int, dtype: str, at_once: int) -> float:
    factors = [tf.ones([size, size], dtype) for _ in range(at_once)]

    @tf.function(autograph=False)
    def products() -> list[tf.Tensor]:
        return [tf.reduce_max(tf.matmul(x, x + i)) for i, x in enumerate(factors)]

    products()
    return min(_timed(products) for _ in range(_ROUNDS))


def _timed(run: tf.types.experimental.PolymorphicFunction) -> float:
    began = time.perf_counter()
    for result in run():
        result.numpy()
    return time.perf_counter() - began


def _flops(graph: tf.Graph) -> int:
    tf.get_logger().setLevel("ERROR")  # the profiler announces its own deprecation
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return int(tf.compat.v1.profiler.profile(graph, options=options).total_float_ops)
