"""The choice of a CPU's kernels: its own, or those that every x86-64 with AVX2 has.

Held to AVX2, oneDNN's products, convolutions and their gradients have the same bits on an AMD EPYC
and on an Intel Xeon, as TensorFlow's own kernels have, which are compiled for one instruction set
(`benchmarks/results/kernels.json`). What is left is `engine.approximations`.
"""

import os
import sys
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError

_CPU = Path("/proc/cpuinfo")
_SETTINGS = {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}


class _InEffect:
    """What this process computes with; it cannot change once it has computed."""

    kernels = "native"


def choose(kernels: str) -> None:
    """Take these kernels for all that the process computes; before TensorFlow's first operation.

    Args:
        kernels: `native` or `portable`.

    Raises:
        RunError: BAD_CONFIG where it is too late, or the processor has none.
    """
    if kernels == _InEffect.kernels:
        return
    if reason := _hindrance(kernels):
        raise RunError(ExitCode.BAD_CONFIG, f"config.kernels={kernels}: {reason}")
    for name, value in _SETTINGS.items():
        if kernels == "portable":
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    _InEffect.kernels = kernels


def is_portable() -> bool:
    """Whether this process computes with portable kernels."""
    return _InEffect.kernels == "portable"


def _hindrance(kernels: str) -> str:
    """Return why the process cannot compute with these kernels; "" where it can."""
    if kernels == "portable" and " avx2 " not in _CPU.read_text():
        return "needs an x86-64 processor with AVX2; leave it native"
    # Not imported here: the command line is read before TensorFlow may be.
    if "tensorflow" not in sys.modules:
        return ""
    context: Any = sys.modules["tensorflow.python.eager.context"]
    ports: Any = sys.modules["tensorflow.python.util._pywrap_util_port"]
    if context.context()._initialized:
        return (
            f"TensorFlow has computed with {_InEffect.kernels} kernels in this process before; "
            f"give it on the command line, --config.kernels={kernels}, or restart the process"
        )
    if kernels == "portable" and not ports.IsMklEnabled():
        return (
            "TensorFlow was imported before this was known, and leaves oneDNN off on this "
            "processor; give it on the command line, --config.kernels=portable, or set "
            "TF_ENABLE_ONEDNN_OPTS=1 before Python starts"
        )
    return ""
