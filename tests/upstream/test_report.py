"""The report of `make test-next` names what failed, and why."""

import subprocess
import sys

import tensorflow as tf

from tests.processes import ROOT

IMPORTS = """
import no_such_module_of_keras

"""
FAILS = """
def test_passes():
    pass


def test_fails():
    raise ValueError("another sum")
"""


def test_failed_tests_and_files_are_named_with_their_reason(tmp_path):
    for name, text in (("test_imports.py", IMPORTS), ("test_sums.py", FAILS)):
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "tests.upstream.report", f"--rootdir={tmp_path}", str(tmp_path),
         "--continue-on-collection-errors"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    table = done.stdout.partition("\ntensorflow ")[2]
    assert done.returncode == 1, done.stderr
    assert tf.__version__ in table
    assert "missing hooks: 0" in table
    assert "failed tests: 2\n" in table
    assert "test_imports.py: " in table
    assert "no_such_module_of_keras" in table
    assert "test_sums.py::test_fails: ValueError: another sum" in table
    assert "test_passes" not in table
