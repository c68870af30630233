"""The runs of this room, made once, in a process of their own."""

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    command = [sys.executable, "-m", "tests.lineage.runs", str(tmp_path_factory.mktemp("runs"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
