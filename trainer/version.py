"""Which Lockstep this is, and what it runs on; TensorFlow is not imported for it."""

import os
import platform
from importlib import metadata

VERSION = "0.1.0"


def environment() -> dict[str, str]:
    """Return what the numbers depend on besides the config, and what the speed depends on."""
    packages = {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {
        "lockstep": VERSION,
        "python": platform.python_version(),
        **packages,
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
    }


def version_text() -> str:
    """Return what `--version` prints: one name and its value a line."""
    return "".join(f"{name:12}{value}\n" for name, value in environment().items())
