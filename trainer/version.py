"""Which Lockstep this is, and what it runs on; TensorFlow is not imported for it."""

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

VERSION = "0.1.0"
# One TensorFlow comes as one of several distributions: the images have those of their hardware.
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu")


def environment() -> dict[str, str]:
    """Return what the numbers depend on besides the config, and what the speed depends on."""
    return {
        "lockstep": VERSION,
        "python": platform.python_version(),
        "tensorflow": _version(*_TENSORFLOWS),
        "keras": _version("keras"),
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
