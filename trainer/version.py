"""Which Lockstep this is, and what it runs on; TensorFlow is not imported for it."""

import os
import platform
from importlib import metadata
from pathlib import Path

VERSION = "0.1.0"
_WHEELS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu")


def environment() -> dict[str, str]:
    """Return what the numbers depend on besides the config, and what the speed depends on."""
    packages = {name: metadata.version(name) for name in ("keras", "numpy")}
    return {
        "lockstep": VERSION,
        "python": platform.python_version(),
        "tensorflow": tensorflow_version(),
        **packages,
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": f"{os.cpu_count()} of {processor()}",
    }


def tensorflow_version() -> str:
    """Return the version of the one wheel of TensorFlow that is installed, by any of its names."""
    return next(d.version for name in _WHEELS for d in metadata.distributions(name=name))


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
