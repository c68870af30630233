"""What the test image runs: a short training on the embedded data, then the fast cut of the tests.

python -m tests.container.ci [pytest arguments]
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Both, in this order; the first failure ends it with its own code."""
    with tempfile.TemporaryDirectory() as workdir:
        train = ["-m", "trainer", "--config=digits", f"--workdir={workdir}", "--config.epochs=2"]
        trained = subprocess.run([sys.executable, *train], check=False).returncode
    if trained:
        return trained
    test = ["-m", "pytest", *(arguments or ["-m", "not slow"])]
    return subprocess.run([sys.executable, *test], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
