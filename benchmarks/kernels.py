"""Which operations give other bits on another processor, and under which choice of kernels.

    python -m benchmarks.kernels                # add this kind of processor to results/kernels.json
    python -m benchmarks.kernels --differences  # what differs between the kinds in that file
    python -m benchmarks.kernels --cost         # milliseconds a step, native and portable in turns

Each choice of kernels runs in a process of its own, as TensorFlow reads it at its start. `train`
are 100 steps of the digits, by their digest: what matters in the end.
"""

import argparse
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.runtime import portable

Operations = dict[str, tuple[Callable[..., object], *tuple[tuple[int, ...], ...]]]

RESULTS = pathlib.Path(__file__).parent / "results" / "kernels.json"
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
EIGEN = {"TF_ENABLE_ONEDNN_OPTS": "0"}
XLA_AVX2 = {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
GRAPH, COMPILED, PORTABLE = "execution=graph", "execution=xla_loop", "kernels=portable"
CHOICES: dict[str, tuple[dict[str, str], str]] = {
    "native": ({}, GRAPH),
    "portable": ({}, PORTABLE),
    "oneDNN AVX2": (AVX2, GRAPH),
    "Eigen": (EIGEN, GRAPH),
    "Eigen AVX2": (EIGEN | AVX2, GRAPH),
    "XLA": (EIGEN, COMPILED),
    "XLA AVX2": (EIGEN | AVX2 | XLA_AVX2, COMPILED),
}
"""Name -> environment, and what is set in the config."""
MLP = ("--config.model.name=mlp", "--config.model.args={}")
TRAINED = {
    "train cnn": ("--config=digits", "--config.train_steps=100"),
    "train mlp": ("--config=digits", "--config.train_steps=100", *MLP),
}
ROUNDS = 3
WIDE = '{"width": 256, "depth": 4, "heads": 8}'
TIMED = {
    "cnn": ("--config=digits", "--config.train_steps=600"),
    "mlp": ("--config=digits", "--config.train_steps=2000", *MLP),
    "transformer": (
        "--config=text_transformer", "--config.train_steps=40", f"--config.model.args={WIDE}",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--differences", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--operations", choices=[GRAPH, COMPILED, PORTABLE])
    flags = parser.parse_args()
    if flags.operations:
        if flags.operations == PORTABLE:
            portable.choose("portable")
        print(json.dumps(hashes(compiled=flags.operations == COMPILED)))
        return
    if flags.cost:
        for name, args in TIMED.items():
            print(json.dumps({name: cost(args)}), flush=True)
        return
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if flags.differences:
        print_differences(known)
        return
    from trainer.version import kind_of_cpu

    known[kind_of_cpu()] = {name: measure(*choice) for name, choice in CHOICES.items()}
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def measure(environment: dict[str, str], chosen: str) -> dict[str, str]:
    """Return operation -> hash, and the digests of short runs, under one choice of kernels."""
    command = [sys.executable, "-m", "benchmarks.kernels", f"--operations={chosen}"]
    env = os.environ | environment | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    asked = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(asked.stdout)
    for name, args in TRAINED.items():
        found[name] = summary_of(args, chosen, environment)["state_digest"]
    return found


def cost(args: tuple[str, ...]) -> dict[str, object]:
    """Return the median milliseconds of a step with each kind of kernels, and their ratio."""
    from benchmarks.data import compare

    def milliseconds(kernels: str) -> float:
        summary = summary_of(args, f"kernels={kernels}", {})
        return float(1e3 * summary["goodput"]["seconds"]["step"] / summary["step"])

    kinds: dict[str, Callable[[], float]] = {
        name: functools.partial(milliseconds, name) for name in ("native", "portable")
    }
    return compare(kinds, ROUNDS, "native")


def summary_of(args: tuple[str, ...], chosen: str, environment: dict[str, str]) -> dict[str, Any]:
    """Train with one choice of kernels; return what the run says at its end."""
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "-m", "trainer", *args, f"--workdir={folder}"]
        train += [f"--config.{chosen}", "--config.epochs=0"]
        subprocess.run(train, env=os.environ | environment, capture_output=True, check=True)
        summary: dict[str, Any] = json.loads((pathlib.Path(folder) / "summary.json").read_text())
    return summary


def print_differences(known: dict[str, dict[str, dict[str, str]]]) -> None:
    for choice in CHOICES:
        tables = [table[choice] for table in known.values() if choice in table]
        both = [name for name in tables[0] if all(name in table for table in tables)]
        names = [name for name in both if len({table[name] for table in tables}) > 1]
        count = f"{choice}, {len(tables)} kinds: {len(names)} of {len(both)} differ"
        print(f"{count}: {', '.join(names) or 'none'}")


def hashes(*, compiled: bool) -> dict[str, str]:
    """Run each operation on fixed inputs, on one thread."""
    import tensorflow as tf

    from trainer.engine import approximations  # noqa: F401 - of which portable kernels take none

    tf.config.threading.set_intra_op_parallelism_threads(1)
    found = {}
    for name, (operation, *shapes) in operations().items():
        rng = np.random.default_rng(0)
        inputs = [tf.constant(rng.standard_normal(shape, dtype=np.float32)) for shape in shapes]
        run = tf.function(operation, jit_compile=compiled or None, autograph=False)
        try:
            data = run(*inputs).numpy().tobytes()
        except tf.errors.InvalidArgumentError:
            found[name] = "none"  # XLA has no code for it
            continue
        found[name] = hashlib.sha256(data).hexdigest()[:12]
    return found


def operations() -> Operations:
    """Return name -> function of float32 tensors and the shapes of these."""
    return {**_pointwise(), **_rows(), **_sums(), **_images(), **_products(), **_convolutions()}


def _pointwise() -> Operations:
    import tensorflow as tf

    row = (1000,)
    positive = ("exp", "log", "tanh", "sigmoid", "erf", "sqrt", "rsqrt", "sin", "softplus")
    return {
        **{
            name: (lambda x, name=name: getattr(tf.math, name)(tf.abs(x) + 0.1), row)
            for name in positive
        },
        **{name: (getattr(tf.nn, name), row) for name in ("elu", "gelu", "silu", "selu")},
        "divide": (tf.divide, row, row),
        "power": (lambda x: tf.abs(x) ** 0.37, row),
        "philox": (lambda: tf.random.stateless_normal([1000], [1, 2], alg="philox"),),
    }


def _rows() -> Operations:
    """Return what normalizes rows."""
    import tensorflow as tf

    return {
        "softmax of 10": (tf.nn.softmax, (64, 10)),
        "softmax of 1000": (tf.nn.softmax, (64, 1000)),
        "log softmax": (tf.nn.log_softmax, (64, 100)),
        "cross-entropy": (_cross_entropy, (64, 100)),
        "layer norm": (_layer_norm, (64, 100)),
        "l2 normalize": (lambda x: tf.nn.l2_normalize(x, 1), (64, 100)),
    }


def _sums() -> Operations:
    import tensorflow as tf

    return {
        "sum of rows": (lambda x: tf.reduce_sum(x, 1), (64, 1000)),
        "sum of columns": (lambda x: tf.reduce_sum(x, 0), (1000, 64)),
        "l2 loss": (tf.nn.l2_loss, (100, 1000)),
        "cumulative sum": (tf.cumsum, (1000,)),
        "embedding, backward": (
            lambda x: tf.math.unsorted_segment_sum(x, tf.range(1000) % 37, 37),
            (1000, 64),
        ),
    }


def _images() -> Operations:
    """Return what is done to images besides convolutions of all channels."""
    import tensorflow as tf

    nn, image = tf.nn, (16, 8, 8, 32)
    return {
        "moments": (lambda x: tf.concat(nn.moments(x, [0, 1, 2]), 0), image),
        "bias gradient": (lambda x: tf.raw_ops.BiasAddGrad(out_backprop=x), image),
        "batch norm": (_batch_norm, image),
        "max pooling, backward": (_backward(lambda x: nn.max_pool2d(x, 2, 2, "SAME")), image),
        "average pooling, backward": (_backward(lambda x: nn.avg_pool2d(x, 2, 2, "SAME")), image),
        "depthwise convolution, backward": (
            _backward(lambda x, k: nn.depthwise_conv2d(x, k, [1] * 4, "SAME")),
            image,
            (3, 3, 32, 2),
        ),
    }


def _products() -> Operations:
    import tensorflow as tf

    found: Operations = {
        "transposed product": (
            lambda x, y: tf.matmul(x, y, transpose_a=True),
            (128, 784),
            (128, 100),
        ),
        "batched product": (tf.matmul, (8, 64, 32), (8, 32, 64)),
        "attention products": (
            _backward(lambda q, k: tf.matmul(q, k, transpose_b=True)),
            (32, 256, 32),
            (32, 256, 32),
        ),
    }
    for k in (8, 64, 256, 784, 1024, 4096):
        found[f"product over {k}"] = (tf.matmul, (32, k), (k, 128))
    return found


def _convolutions() -> Operations:
    import tensorflow as tf

    found: Operations = {}
    for side, inputs, outputs in ((8, 1, 16), (8, 16, 32), (28, 32, 64)):
        name = f"convolution {inputs} to {outputs} of {side}"
        x, kernel, y = (16, side, side, inputs), (3, 3, inputs, outputs), (16, side, side, outputs)
        found[name] = (lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), x, kernel)
        found[f"{name}, by input"] = (
            lambda k, y, shape=x: tf.nn.conv2d_transpose(y, k, shape, 1, "SAME"),
            kernel,
            y,
        )
        found[f"{name}, by kernel"] = (
            lambda x, y, shape=kernel: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=shape, out_backprop=y, strides=[1] * 4, padding="SAME"
            ),
            x,
            y,
        )
    return found


def _cross_entropy(logits: Any) -> object:
    import tensorflow as tf

    loss = tf.nn.sparse_softmax_cross_entropy_with_logits
    return _backward(lambda x: loss(labels=tf.range(x.shape[0]), logits=x))(logits)


def _layer_norm(x: Any) -> object:
    import keras

    return _backward(lambda x: keras.ops.layer_normalization(x, axis=-1))(x)


def _backward(operation: Callable[..., Any]) -> Callable[..., object]:
    """Return a function that gives a result and its gradients, in one row."""
    import tensorflow as tf

    def both(*inputs: Any) -> object:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = operation(*inputs)
            # Not all ones: gradients of a sum would not tell one place from another.
            weights = tf.cos(tf.range(tf.size(result), dtype=tf.float32))
            loss = tf.reduce_sum(tf.reshape(result, [-1]) * weights)
        gradients = tape.gradient(loss, inputs)
        return tf.concat([tf.reshape(t, [-1]) for t in (result, *gradients)], 0)

    return both


def _batch_norm(x: object) -> object:
    import tensorflow as tf

    size, empty = tf.ones(32), tf.zeros(0)
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=size, offset=size, mean=empty, variance=empty, is_training=True
    ).y


if __name__ == "__main__":
    main()
