"""Evaluation of n examples, whatever divides what (R17)."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.processes import ROOT
from tests.run import measure

WEIGHTS = np.array([[1, -1], [0.5, 2], [-0.3, 0.7]])
BIAS = np.array([0.1, -0.2])


def expected(n):
    data = measure.examples(n)
    logits = data["x"].astype(np.float64) @ WEIGHTS + BIAS
    chosen = logits[np.arange(n), data["y"]]
    loss = np.log(np.exp(logits).sum(1)) - chosen
    return {"loss": loss.mean(), "accuracy": (logits.argmax(1) == data["y"]).mean()}


def check(replicas, sizes):
    command = [sys.executable, "-m", "tests.run.measure", str(replicas)]
    done = subprocess.run(
        [*command, *map(str, sizes)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [m["weight"] for m in measured] == list(sizes)
    for found in measured:
        for name, value in expected(found["n"]).items():
            assert found[name] == pytest.approx(value, abs=1e-6), (found["n"], name)


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_each_example_counts_once(replicas):
    check(replicas, [1, 7, 8, 9, 67])


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_each_example_counts_once_for_every_size(replicas):
    check(replicas, range(1, 68))
