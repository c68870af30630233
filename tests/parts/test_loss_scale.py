"""The dynamic loss scale: its formula, and what a step does that overflows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import RunError
from trainer import precision
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.optimizers.loss_scale import LossScale
from trainer.task import Parts
from trainer.tasks.supervised import Supervised


def test_it_halves_after_an_overflow_and_doubles_after_some_finite_steps() -> None:
    scale, seen = LossScale(8.0, growth_steps=3), []
    for finite in (True, False, True, True, True, True, True, False, False):
        scale.update(tf.constant(finite))
        seen.append(float(scale.value()))
    # The overflow sets the count back: three finite steps after it, not two.
    assert seen == [8, 4, 4, 4, 8, 8, 8, 4, 2]


def test_it_stays_between_1_and_2_to_the_24() -> None:
    low, high = LossScale(1.0), LossScale(2.0**24, growth_steps=1)
    low.update(tf.constant(False))
    high.update(tf.constant(True))
    assert (float(low.value()), float(high.value())) == (1.0, 2.0**24)


def build(dtype: str, scale: LossScale | None) -> Supervised:
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(n, a, dtype=dtype) for n, a in ((8, "tanh"), (1, None))]
    model = keras.Sequential([keras.Input((2,)), *dense])
    optimizer = keras.optimizers.SGD(0.1)
    build_slots(optimizer, model.trainable_variables)
    loss = lambda y, p: tf.reduce_mean((y - p) ** 2, -1)  # noqa: E731
    parts = Parts({"main": model}, {"main": optimizer}, {}, loss, None, loss_scale=scale)
    return Supervised(parts, input="x", label="y")


def train(task: Supervised, num_steps: int) -> list[dict[str, float]]:
    step_fn = make_train_step(task, StepPlan(0, 2, "exact", "graph", {}))
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 2)), tf.float32)
    batch = {"x": x, "y": tf.reduce_sum(x, -1, keepdims=True)}
    zero = tf.constant(0, tf.int64)
    run = tf.function(
        lambda step: step_fn(Microbatches(batch, tf.ones([2, 4]), zero, step)), autograph=False
    )
    sums = [run(tf.constant(step, tf.int64)) for step in range(num_steps)]
    return [{n: float(v) for n, v in s.items()} for s in sums]


def test_a_step_that_overflows_is_left_out_and_halves_the_scale() -> None:
    task = build("mixed_float16", LossScale(2.0**20))
    first = [w.numpy() for w in task.model.weights]
    sums = train(task, 8)
    skipped = [int(s["skipped"]) for s in sums]
    num_skipped = sum(skipped)
    assert 0 < num_skipped < 8
    assert skipped == [1] * num_skipped + [0] * (8 - num_skipped)
    expected = [2.0**20 / 2 ** min(step, num_skipped) for step in range(8)]
    assert [s["loss_scale"] for s in sums] == expected
    # The others are those of float32, as far as float16 goes: the scale is divided out again.
    plain = build("float32", None)
    train(plain, 8 - num_skipped)
    moved = zip(task.model.weights, plain.model.weights, first, strict=True)
    for half, single, before in moved:
        np.testing.assert_allclose(half - before, single - before, rtol=0.02, atol=2e-3)


def test_without_a_scale_small_gradients_are_lost_and_with_it_not() -> None:
    lost, kept = (
        float(tf.reduce_max(tf.abs(tiny_gradient(scale)))) for scale in (None, LossScale())
    )
    assert lost == 0
    assert kept == pytest.approx(1e-9, rel=0.01)


def tiny_gradient(scale: LossScale | None) -> tf.Tensor:
    """Return how far a step moves a kernel whose gradient float16 rounds to zero."""
    task = build("mixed_float16", scale)
    task.loss = lambda _, p: 1e-9 * p[:, 0]
    kernel = task.model.layers[-1].bias
    before = kernel.numpy()
    task.optimizers["main"].learning_rate.assign(1.0)
    train(task, 1)
    return tf.constant(before - kernel.numpy())


def test_a_layer_that_keeps_its_weights_in_float16_is_refused() -> None:
    precision.set_policy("float16")
    try:
        precision.refuse_other_policies(build("mixed_float16", LossScale()), "float16")
        with pytest.raises(RunError, match=r"'dense.*' keeps its weights.*mixed_float16"):
            precision.refuse_other_policies(build("float16", LossScale()), "float16")
    finally:
        keras.config.set_dtype_policy("float32")  # other tests run in this process
