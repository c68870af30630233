"""The whole step against an independent one in NumPy float64 (R16)."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine.pure_optimizer import make_pure
from trainer.engine.step import Lanes, StepPlan, make_train_step
from trainer.optimizers.midpoint import Midpoint
from trainer.task import Parts
from trainer.tasks.supervised import Supervised

V, LANE, INPUTS, HIDDEN, CLASSES, STEPS = 4, 3, 5, 7, 3, 3
PENALTY, CLIP, RATE = 0.05, 0.4, 0.1
# As large as the gradients: with a tiny one Adam divides rounding errors by rounding errors.
EPSILON = 0.1


def build(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((INPUTS,)),
            keras.layers.Dense(HIDDEN, activation="tanh"),
            keras.layers.Dense(CLASSES),
        ]
    )
    optimizer.build(model.trainable_variables)
    loss = functools.partial(keras.losses.sparse_categorical_crossentropy, from_logits=True)
    parts = Parts(
        {"main": model},
        {"main": make_pure(optimizer)},
        {"accuracy": keras.metrics.SparseCategoricalAccuracy()},
        loss,
        lambda w: PENALTY * tf.reduce_sum(w**2),
    )
    return Supervised(parts)


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, V, LANE, INPUTS))
    return x, rng.integers(0, CLASSES, (STEPS, V, LANE)), rng.uniform(0.5, 2, (STEPS, V, LANE))


def numpy_gradient(weights, x, y, w):
    """Gradient of the weighted mean cross-entropy plus the penalty on both kernels."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    logits = hidden @ w2 + b2
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d = (p - np.eye(CLASSES)[y]) * w[:, None] / w.sum()
    back = (d @ w2.T) * (1 - hidden**2)
    return [
        x.T @ back + 2 * PENALTY * w1,
        back.sum(0),
        hidden.T @ d + 2 * PENALTY * w2,
        d.sum(0),
    ]


def numpy_train(weights, kind):
    slots = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
    for step, (x, y, w) in enumerate(zip(*data(), strict=True)):
        grads = numpy_gradient(weights, x.reshape(-1, INPUTS), y.ravel(), w.ravel())
        norm = np.sqrt(sum((g**2).sum() for g in grads))
        assert norm > CLIP, "the case must exercise clipping"
        grads = [g * CLIP / norm for g in grads]
        weights = [
            RULES[kind](v, g, s, step) for v, g, s in zip(weights, grads, slots, strict=True)
        ]
    return weights


def sgd(w, g, slot, step):
    return w - RATE * g


def adam(w, g, slot, step):
    slot[0] = 0.9 * slot[0] + 0.1 * g
    slot[1] = 0.999 * slot[1] + 0.001 * g**2
    # The form of the paper's section 2 in which epsilon stands beside the uncorrected root.
    rate = RATE * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
    return w - rate * slot[0] / (np.sqrt(slot[1]) + EPSILON)


def midpoint(w, g, slot, step):
    forward = (step == 0) | (g * slot[1] >= 0)
    new = np.where(forward, w - RATE * g, (slot[0] + w) / 2)
    slot[:] = [w, g]
    return new


RULES = {"sgd": sgd, "adam": adam, "midpoint": midpoint}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(RATE),
    "adam": lambda: keras.optimizers.Adam(RATE, epsilon=EPSILON),
    "midpoint": lambda: Midpoint(RATE),
}


@pytest.mark.parametrize("kind", RULES)
def test_three_steps_match_numpy_float64(kind):
    task = build(OPTIMIZERS[kind]())
    model = task.models["main"]
    expected = numpy_train([v.numpy().astype(np.float64) for v in model.weights], kind)
    train = make_train_step(task, StepPlan(0, V, "exact", "graph", {"main": CLIP}))

    @tf.function(autograph=False)
    def run(batch, weights, step):
        return train(Lanes(batch, weights, tf.constant(0, tf.int64), step))

    for step, (x, y, w) in enumerate(zip(*data(), strict=True)):
        batch = {"image": tf.constant(x, tf.float32), "label": tf.constant(y)}
        index = tf.constant(step, tf.int64)
        run(batch, tf.constant(w, tf.float32), index)
    for variable, value in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=0, atol=1e-6)
