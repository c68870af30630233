"""The runs of a file of tests, made once, in a process of their own."""

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    # test_stops.py looks at the runs of `runs.stops`.
    name = request.module.__name__.rpartition("test_")[2]
    folder = str(tmp_path_factory.mktemp(name))
    command = [sys.executable, "-m", "tests.lineage.runs", name, folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
