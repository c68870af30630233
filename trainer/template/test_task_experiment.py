"""Tests of my experiment. Change: one test for each promise that your parts make."""

import math
from pathlib import Path

import experiment

from trainer import train


def test_every_code_path_runs(tmp_path: Path) -> None:
    # Also whether the step gives the same bits on two replicas, and after a restart.
    summary = train(experiment.get_config(), str(tmp_path), fast_dev_run=True).summary
    assert summary["step"] == 2
    assert math.isfinite(summary["train"]["loss"])
