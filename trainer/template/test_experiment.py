"""Tests of my experiment. Change: one test for each promise that your parts make."""

import math
from pathlib import Path

import experiment
import tensorflow as tf

from trainer import train


def test_every_code_path_runs(tmp_path: Path) -> None:
    # The first test: training sets TensorFlow's threads, which it allows before its first use.
    summary = train(experiment.get_config(), str(tmp_path), fast_dev_run=True).summary
    assert summary["step"] == 2
    assert math.isfinite(summary["train"]["loss"])


def test_loss_of_even_logits_is_log_of_the_number_of_classes() -> None:
    loss = experiment.SmoothedCrossentropy(smoothing=0.1)
    value = loss.call(tf.constant([3, 7]), tf.zeros([2, 10]))
    assert value.shape == [2]  # one value an example, never a mean
    assert math.isclose(float(value[0]), math.log(10), rel_tol=1e-6)
