"""XLA's own switch for equal bits on a GPU; set it before TensorFlow is imported.

In graph execution `enable_op_determinism` does the same for all of TensorFlow. In compiled
execution it stays off (`cluster.strategy.configure_runtime`), and XLA would time its kernels at
every start and take the fastest of that day, and add up scattered values in any order.
"""

import pathlib
from collections.abc import MutableMapping

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
