"""What TensorFlow sees, and its arithmetic against NumPy in float64; printed as JSON."""

import json
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf

_RNG = np.random.default_rng(0)
_MOST = 1e-4
"""Relative error that float32 may have here; TF32 and bfloat16 are at 1e-3 and more."""


def main() -> None:
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    errors = {name: _error(check) for name, check in CHECKS.items()}
    found: dict[str, Any] = {
        "tensorflow": tf.__version__,
        "build": {k: v for k, v in tf.sysconfig.get_build_info().items() if "cu" in k},
        "gpus": [_details(gpu) for gpu in tf.config.list_physical_devices("GPU")],
        "libraries": _libraries(),
        "errors": errors,
        "bfloat16_tflops": _tflops(),
        "right": all(isinstance(e, float) and e < _MOST for e in errors.values()),
    }
    print(json.dumps(found))


def _details(gpu: tf.config.PhysicalDevice) -> dict[str, str]:
    return {k: str(v) for k, v in tf.config.experimental.get_device_details(gpu).items()}


def _libraries() -> list[str]:
    """Return the CUDA libraries that were loaded."""
    lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
    names = {pathlib.Path(line.split()[-1]).name for line in lines if ".so" in line}
    return sorted(name for name in names if any(k in name for k in ("libcu", "nccl")))


def _error(check: Any) -> float | str:
    try:
        got, expected = check()
    except Exception as error:  # another one may still work
        return f"{type(error).__name__}: {error}"[:300]
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def _product() -> tuple[np.ndarray, np.ndarray]:
    a, b = _RNG.normal(size=(2, 512, 512))
    return tf.matmul(np.float32(a), np.float32(b)).numpy(), a @ b


def _convolution() -> tuple[np.ndarray, np.ndarray]:
    """A 3x3 convolution, its gradient by the kernel: sums of shifted products."""
    x, k = _RNG.normal(size=(8, 16, 16, 4)), _RNG.normal(size=(3, 3, 4, 8))
    kernel = tf.Variable(np.float32(k))
    with tf.GradientTape() as tape:
        y = tf.nn.conv2d(np.float32(x), kernel, 1, "VALID")
        loss = tf.reduce_sum(tf.square(y)) / 2
    places = [(i, j) for i in range(3) for j in range(3)]
    expected = sum(x[:, i : i + 14, j : j + 14] @ k[i, j] for i, j in places)
    grad = np.stack(
        [np.einsum("bxyc,bxyo->co", x[:, i : i + 14, j : j + 14], expected) for i, j in places]
    )
    return tape.gradient(loss, kernel).numpy().reshape(9, 4, 8), grad


def _compiled() -> tuple[np.ndarray, np.ndarray]:
    x = _RNG.normal(size=(256, 256))

    @tf.function(jit_compile=True)
    def program(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.tanh(x @ x) + tf.sin(x), axis=1)

    return program(tf.constant(x, tf.float32)).numpy(), (np.tanh(x @ x) + np.sin(x)).sum(axis=1)


CHECKS = {"product": _product, "convolution": _convolution, "compiled": _compiled}


def _tflops() -> float | None:
    """Return the rate of a large bfloat16 product; None without a GPU."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    x = tf.cast(tf.random.stateless_normal([8192, 8192], [1, 2]), tf.bfloat16)
    tf.matmul(x, x).numpy()
    began = time.perf_counter()
    for _ in range(10):
        y = tf.matmul(x, x)
    y[0, 0].numpy()
    return round(10 * 2 * 8192**3 / (time.perf_counter() - began) / 1e12, 1)


if __name__ == "__main__":
    main()
