"""Custom steps keep every promise, and do what their papers say."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.processes import ROOT
from tests.template.worked_examples import LONG, QUICK
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.task import Parts
from trainer.tasks.distillation import soft_loss
from trainer.tasks.sharpness_aware import SharpnessAware, uphill
from trainer.tasks.wgan_gp import WassersteinGan


def digests(replicas: int, folder: pathlib.Path, names: tuple[str, ...]) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.template.worked_examples", str(replicas), str(folder)]
    done = subprocess.run([*command, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("names", [QUICK, pytest.param(LONG, marks=pytest.mark.slow)])
def test_one_digest_on_two_replicas(names: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    # Two runs of different size in one process: their collectives must not meet either.
    one, two = digests(1, tmp_path / "1", names), digests(2, tmp_path / "2", names)
    assert set(one) == set(names)
    assert one == two


def squared_error(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean((labels - outputs) ** 2, axis=-1)


def test_sharpness_aware_step_matches_numpy() -> None:
    # One weight, loss (w x - y)^2: every number of the step can be written down.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = keras.optimizers.SGD(0.1)
    build_slots(optimizer, model.trainable_variables)
    parts = Parts({"main": model}, {"main": optimizer}, {}, squared_error, None)
    task = SharpnessAware(parts, rho=0.5, input="x", label="y")
    x, y, w = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 2.0, 1.0]), 0.25
    model.set_weights([np.array([[w]], np.float32)])

    train = make_train_step(task, StepPlan(0, 2, "exact", "graph", {}))
    batch = {"x": tf.constant(x, tf.float32, [2, 2, 1]), "y": tf.constant(y, tf.float32, [2, 2, 1])}
    step = tf.constant(0, tf.int64)
    tf.function(lambda: train(Microbatches(batch, tf.ones([2, 2]), step, step)), autograph=False)()

    def gradient(at: float) -> float:
        return float(np.mean(2 * (at * x - y) * x))

    there = w + 0.5 * np.sign(gradient(w))
    assert float(model.weights[0][0, 0]) == pytest.approx(w - 0.1 * gradient(there), rel=1e-6)


def test_sharpness_aware_step_keeps_the_statistics_of_its_first_pass_alone() -> None:
    # BatchNorm stands in front: both passes see the same examples, and a second pass that counted
    # would take the averages three quarters of the way instead of a half.
    norm = keras.layers.BatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input((2,)), norm, keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    build_slots(optimizer, model.trainable_variables)
    parts = Parts({"main": model}, {"main": optimizer}, {}, squared_error, None)
    task = SharpnessAware(parts, rho=0.5, input="x", label="y")
    x = np.array([[[1.0, 2.0], [3.0, -2.0]], [[5.0, 0.0], [-1.0, 8.0]]], np.float32)

    train = make_train_step(task, StepPlan(0, 2, "exact", "graph", {}))
    batch = {"x": tf.constant(x), "y": tf.ones([2, 2, 1])}
    step = tf.constant(0, tf.int64)
    tf.function(lambda: train(Microbatches(batch, tf.ones([2, 2]), step, step)), autograph=False)()

    seen, spread = x.mean(axis=1).mean(axis=0), x.var(axis=1).mean(axis=0)  # by microbatch
    np.testing.assert_allclose(norm.moving_mean.numpy(), seen / 2, rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance.numpy(), (1 + spread) / 2, rtol=1e-6)


def test_uphill_has_length_rho_and_is_zero_on_a_plateau() -> None:
    steps = uphill([tf.constant([3.0, 0.0]), tf.constant([[4.0]])], 0.05)
    assert float(tf.linalg.global_norm(steps)) == pytest.approx(0.05)
    np.testing.assert_array_equal(uphill([tf.zeros(2)], 0.05)[0], [0, 0])


def test_soft_loss_is_zero_for_equal_logits_and_matches_numpy() -> None:
    teacher, student = np.array([[1.0, 2.0, 0.5]]), np.array([[0.0, 1.0, 3.0]])
    p, q = (np.exp(v / 2) / np.exp(v / 2).sum() for v in (teacher, student))
    expected = 4 * np.sum(p * np.log(p / q))
    assert float(soft_loss(tf.constant(teacher), tf.constant(teacher), 2.0)[0]) == 0
    assert float(soft_loss(tf.constant(teacher), tf.constant(student), 2.0)[0]) == pytest.approx(
        expected
    )


def test_gradient_penalty_of_a_linear_critic_is_known() -> None:
    # D(x) = a . x has the slope |a| everywhere: the penalty is (|a| - 1)^2.
    critic = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    critic.add(keras.layers.Dense(1, use_bias=False))
    critic.set_weights([np.array([[3.0], [0.0], [4.0], [0.0]], np.float32)])
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    models = {"main": generator, "discriminator": critic}
    optimizers = dict.fromkeys(models, keras.optimizers.SGD())
    task = WassersteinGan(Parts(models, optimizers, {}, squared_error, None))
    images = tf.random.stateless_uniform([5, 2, 2, 1], [1, 2])

    class FixedMicrobatch:
        def seed(self, index: int = 0) -> tf.Tensor:
            return tf.constant([7, index])

    penalty = task._gradient_penalty(FixedMicrobatch(), images, tf.zeros_like(images))
    np.testing.assert_allclose(penalty, np.full(5, 16.0), rtol=1e-5)
