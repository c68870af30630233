"""DataFrames of pandas, in an environment of their own: Keras imports pandas wherever it is."""

import subprocess

import pytest

from tests.processes import ROOT
from tests.storage.test_s3 import PYTHON


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="make .venv/s3 installs pandas")
def test_frames_are_read_and_metrics_are_one() -> None:
    tests = ("tests/data/test_array_files.py", "tests/template/test_api.py")
    command = [PYTHON, "-m", "pytest", "-k", "pandas or runs_in_one_process", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout
