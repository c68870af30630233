"""Keeps what XLA compiled for the next start; call it before TensorFlow is imported."""

import hashlib
import pathlib
from collections.abc import MutableMapping

from common.exit_codes import ExitCode, RunError
from trainer import version


def keep_programs(folder: str, environment: MutableMapping[str, str]) -> None:
    """Let XLA read and write its programs in `folder`; an empty one keeps none.

    Programs are machine code for one kind of processor and one TensorFlow, so each gets a folder of
    its own. Whoever can write there decides what this process runs: it is closed to others.

    Raises:
        RunError: BAD_FLAG where the folder cannot be made.
    """
    if not folder:
        return
    own = pathlib.Path(folder).absolute() / _machine()
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            ExitCode.BAD_FLAG, f"--compile_cache={folder}: {error.strerror}; name a folder"
        ) from error
    # Each program that is read makes TensorFlow report, as errors, that its text form is tried
    # first and that two hints to the compiler are no features of a processor.
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    flag = f"--tf_xla_persistent_cache_directory={own}"
    environment["TF_XLA_FLAGS"] = f"{environment.get('TF_XLA_FLAGS', '')} {flag}".strip()


def _machine() -> str:
    """Return a name for this TensorFlow on this kind of processor."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    kind = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    text = "\n".join([version.environment()["tensorflow"], *sorted(kind)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
