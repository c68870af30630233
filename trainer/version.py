"""Which Lockstep this is, and what it runs on; only `kernels` asks TensorFlow."""

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

from trainer.runtime import portable

VERSION = "0.1.0"
# One TensorFlow comes as one of several distributions: the images have those of their hardware.
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu", "tf-nightly")
_KERASES = ("keras-nightly", "keras")  # of both, the first is what is imported
_CHOOSING = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def environment() -> dict[str, str]:
    """Return what the numbers depend on besides the config, and what the speed depends on."""
    return {
        "lockstep": VERSION,
        "python": platform.python_version(),
        "tensorflow": _version(*_TENSORFLOWS),
        "keras": _version(*_KERASES),
        "numpy": _version("numpy"),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": f"{os.cpu_count()} of {processor()}",
    }


def _version(*names: str) -> str:
    """Return the version of the first of these distributions that is installed."""
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return "not installed"


def kernels() -> dict[str, str]:
    """Return what decides which kernels compute, and with them the last bits of a result.

    Call it once TensorFlow is imported and its devices are chosen.
    """
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    cards = {details(card).get("device_name", "?") for card in tf.config.get_visible_devices("GPU")}
    return {
        "tensorflow": tf.__version__,
        "keras": _version(*_KERASES),
        "onednn": _onednn(),
        "cpu": "any x86-64 with AVX2" if portable.is_portable() else kind_of_cpu(),
        **({"gpu": ", ".join(sorted(cards))} if cards else {}),
    }


def _onednn() -> str:
    """Return whether oneDNN is on, and the instruction set that it is held to."""
    from tensorflow.python.util import _pywrap_util_port

    widest = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    on = f"on, at most {widest}" if widest else "on"
    return on if _pywrap_util_port.IsMklEnabled() else "off"


def kind_of_cpu(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return what decides which kernels run and how they cut their work.

    Make and model stand for the sizes of the caches, by which Eigen and oneDNN cut products; the
    flags are those by which TensorFlow turns oneDNN on, and by which oneDNN and XLA choose code.
    """
    lines = file.read_text().splitlines() if file.is_file() else []
    values = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    known = [values.get(key, "?") for key in ("vendor_id", "cpu family", "model")]
    able = values.get("flags", values.get("Features", "")).split()  # ARM has "Features"
    return " ".join([*known, *([f for f in _CHOOSING if f in able] or ["other"])])


def processor() -> str:
    """Return name and widest vector instructions of the CPU, on which its last bits depend."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown make"
    said = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    able = said.get("flags", said.get("Features", "")).split()
    widest = next((f for f in ("avx512_bf16", "avx512f", "avx2", "sve", "asimd") if f in able), "")
    return f"{said.get('model name', platform.machine())} {widest}".rstrip()


def version_text() -> str:
    """Return what `--version` prints: one name and its value a line."""
    return "".join(f"{name:12}{value}\n" for name, value in environment().items())
