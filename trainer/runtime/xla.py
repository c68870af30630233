"""XLA's own switches; set them before TensorFlow is imported.

Equal bits on a GPU: in graph execution `enable_op_determinism` sees to them for all of TensorFlow.
In compiled execution it stays off (`cluster.strategy.configure_runtime`), and XLA would time its
kernels at every start and take the fastest of that day, and add up scattered values in any order.
"""

import hashlib
import pathlib
from collections.abc import MutableMapping

from common.exit_codes import ExitCode, RunError
from trainer import version

# With it XLA takes the first kernel that is deterministic and compiles, and times none.
# --xla_gpu_autotune_level=0 is left alone: it takes cuDNN's default kernel instead, which for the
# gradient of a convolution adds in any order. A flag that XLA does not know ends the process.
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def fix_gpu_bits(environment: MutableMapping[str, str]) -> None:
    """Add the switch to XLA_FLAGS; what the user has set there stays, this flag included."""
    given = environment.get("XLA_FLAGS", "").strip()
    if given and not given.startswith("-"):  # XLA takes it for the name of a file with flags
        file = pathlib.Path(given)
        given = file.read_text().strip() if file.is_file() else ""
    if DETERMINISTIC.partition("=")[0] not in given:
        environment["XLA_FLAGS"] = f"{given} {DETERMINISTIC}".strip()


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
