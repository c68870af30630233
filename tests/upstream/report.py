"""Names what differs under the installed TensorFlow and Keras: `python -m tests.upstream.report`.

Runs the fast tests that come through the hooks, or those that are named, and ends with versions,
hooks and failed tests, one a line. It exits with 1 where anything differs. `make test-next` runs it
with the newest versions.
"""

import re
import sys
from collections.abc import Sequence

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.processes import ROOT
from tests.upstream import hooks

CUT = (
    "tests/upstream",
    "tests/engine/test_add_n.py",
    "tests/engine/test_as_keras.py",
    "tests/engine/test_exchange.py",
    "tests/engine/test_hashed_random.py",
    "tests/engine/test_numpy_step.py",
    "tests/engine/test_ownership.py",
    "tests/engine/test_rematerialization.py",
    "tests/engine/test_separable.py",
    "tests/golden",
)
"""Gradients, AddN, collectives, the audit of ownership, Keras' internals, the golden curve."""


class Failures:
    """A plugin of pytest that keeps what failed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def _note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            # What an import ended with stands last.
            said = crash.message.splitlines()[0] if crash else report.longreprtext.splitlines()[-1]
            self.lines.append(f"{report.nodeid}: {said.removeprefix('E').strip()}")


def versions() -> list[str]:
    """Return what is installed beside what is pinned, a line each."""
    lock = (ROOT / "requirements.lock").read_text()
    lines = []
    for name, here in (("tensorflow", tf), ("keras", keras), ("numpy", np)):
        pinned = re.findall(rf"(?m)^{name}==(\S+)", lock)  # of NumPy one for each Python
        lines.append(f"{name:12}{here.__version__:24}pinned: {', '.join(pinned)}")
    return lines


def main(tests: Sequence[str] = CUT) -> int:
    """Run the tests and print the table; return the exit code."""
    failures = Failures()
    pytest.main(["-m", "not slow", *tests], plugins=[failures])
    missing = hooks.missing()
    print("\n" + "\n".join(versions()))
    for title, lines in (("missing hooks", missing), ("failed tests", failures.lines)):
        print(f"\n{title}: {len(lines)}", *lines, sep="\n  ")
    return 1 if missing or failures.lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or CUT))
