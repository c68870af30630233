"""The whole step against an independent one in NumPy float64 (R16): one model, all that it has."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.engine import numpy_step as independent
from tests.parts import reference
from trainer.engine.forward_step import make_eval_step
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.optimizers.midpoint import Midpoint
from trainer.optimizers.weight_average import WeightAverage
from trainer.task import Parts
from trainer.tasks.supervised import Supervised

SEED, V, MICROBATCH, INPUTS, CLASSES, STEPS = 11, 4, 3, 5, 3, 5
PENALTY, CLIP, RATE, DECAY, AVERAGE = 0.02, 1.4, 0.1, 0.3, 0.35
DROPOUT = (0.4, 0.3)
OWN = 0.04
"""Factor of the penalty that one layer brings along."""
# As large as the gradients: with a tiny one Adam divides rounding errors by rounding errors.
EPSILON = 0.1

RULES = {
    "sgd": reference.sgd,
    "momentum": reference.momentum,
    "adam": functools.partial(reference.adam, epsilon=EPSILON),
    "adamw": functools.partial(reference.adamw, epsilon=EPSILON, decay=DECAY),
    "midpoint": reference.midpoint,
}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(RATE),
    "momentum": lambda: keras.optimizers.SGD(RATE, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(RATE, epsilon=EPSILON),
    "adamw": lambda: keras.optimizers.AdamW(RATE, epsilon=EPSILON, weight_decay=DECAY),
    "midpoint": lambda: Midpoint(RATE),
}
SLOTS = {
    "sgd": {},
    "momentum": {"v": "_momentum"},
    "adam": {"m": "_momentum", "v": "_velocity"},
    "adamw": {"m": "_momentum", "v": "_velocity"},
    "midpoint": {"w": "w_prev", "g": "g_prev"},
}


def build(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((INPUTS,)),
            # A bias before the statistics are taken off has no gradient but rounding.
            keras.layers.Dense(7, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            keras.layers.Dropout(DROPOUT[0]),
            keras.layers.Dense(6, activation="tanh", kernel_regularizer=keras.regularizers.L2(OWN)),
            keras.layers.Dropout(DROPOUT[1]),
            keras.layers.Dense(CLASSES),
        ]
    )
    build_slots(optimizer, model.trainable_variables)
    parts = Parts(
        {"main": model},
        {"main": optimizer},
        {"accuracy": keras.metrics.SparseCategoricalAccuracy()},
        functools.partial(keras.losses.sparse_categorical_crossentropy, from_logits=True),
        lambda w: PENALTY * tf.reduce_sum(w**2),
        WeightAverage({"main": model}, AVERAGE),
    )
    return Supervised(parts, input="x", label="y")


def examples():
    """Features [STEPS, V, MICROBATCH, INPUTS], labels and weights [STEPS, V, MICROBATCH]."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, V, MICROBATCH, INPUTS))
    return (
        x,
        rng.integers(0, CLASSES, (STEPS, V, MICROBATCH)),
        rng.uniform(0.5, 2, (STEPS, V, MICROBATCH)),
    )


def forward(weights, x, normalize, drop=lambda x, *_: x):
    kernel, gamma, beta, w1, b1, w2, b2 = weights
    hidden = drop(np.tanh(normalize(x @ kernel, gamma, beta)), DROPOUT[0], 0)
    hidden = drop(np.tanh(hidden @ w1 + b1), DROPOUT[1], 1)
    return hidden @ w2 + b2


class Reference:
    """The same run in NumPy."""

    def __init__(self, model, kind, *, hashed):
        self.weights = [v.numpy().astype(np.float64) for v in model.trainable_variables]
        self.norm = independent.BatchNorm(np.zeros(7), np.ones(7))
        self.updates = independent.Updates(RULES[kind], RATE, len(self.weights))
        self.averages = self.values()
        self.hashed, self.norms = hashed, []

    def values(self):
        """All that is averaged, in the order of the model's variables."""
        return [*self.weights[:3], *self.norm.moving, *self.weights[3:]]

    def step(self, step, x, y, w):
        """Make one step; returns the sums that it reports."""
        keys = [independent.key(SEED, step, v, V, call=0) for v in range(V)]
        drops = [independent.Dropout(k, len(DROPOUT), hashed=self.hashed) for k in keys]
        sums = {}

        def loss(weights):
            total = right = 0.0
            for v in range(V):
                logits = forward(weights, x[v], self.norm.microbatch(), drops[v])
                total += (w[v] * independent.cross_entropy(logits, y[v])).sum()
                right += (w[v] * (logits.argmax(1) == y[v])).sum()
            squares = [(k**2).sum() for k in weights if k.ndim > 1]
            total += w.sum() * (PENALTY * sum(squares) + OWN * squares[1])
            sums.update({"loss": total, "metric/accuracy/0": right})
            return total / w.sum()

        grads = independent.gradient(loss, self.weights)
        loss(self.weights)
        self.norm.move(V)
        grads, norm = independent.clip(grads, CLIP)
        self.norms.append(norm)
        self.weights = self.updates(self.weights, grads)
        self.averages = independent.averaged(self.averages, self.values(), step, AVERAGE)
        counts = {"weight": w.sum(), "metric/accuracy/1": w.sum(), "skipped": 0.0}
        return {**sums, **counts, "gradient_norm/main": norm}

    def evaluate(self, x, y, w):
        kernel, gamma, beta, mean, variance, *rest = self.averages
        norm = independent.BatchNorm(mean, variance)
        logits = forward([kernel, gamma, beta, *rest], x, norm.evaluate)
        losses = independent.cross_entropy(logits, y)
        right = (w * (logits.argmax(1) == y)).sum()
        sums = {"loss": (w * losses).sum(), "weight": w.sum()}
        return {**sums, "metric/accuracy/0": right, "metric/accuracy/1": w.sum()}


def runner(make, task, execution):
    made = make(task, StepPlan(SEED, V, "exact", execution, {"main": CLIP}))

    @tf.function(autograph=False, jit_compile=execution == "xla_loop" or None)
    def run(x, y, w, step):
        return made(Microbatches({"x": x, "y": y}, w, tf.constant(0, tf.int64), step))

    def call(x, y, w, step=0):
        numbers = tf.constant(x, tf.float32), tf.constant(y), tf.constant(w, tf.float32)
        return {n: v.numpy() for n, v in run(*numbers, tf.constant(step, tf.int64)).items()}

    return call


def assert_sums(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        independent.assert_close(found[name], value, name)


def train_both(kind, execution):
    task = build(OPTIMIZERS[kind]())
    expected = Reference(task.models["main"], kind, hashed=execution != "graph")
    run = runner(make_train_step, task, execution)
    for step, (x, y, w) in enumerate(zip(*examples(), strict=True)):
        assert_sums(run(x, y, w, step), expected.step(step, x, y, w))
    assert min(expected.norms) < 0.95 * CLIP < 1.05 * CLIP < max(expected.norms), expected.norms
    return task, expected


CASES = [(kind, "graph") for kind in RULES] + [("adamw", "xla_step"), ("adamw", "xla_loop")]


@pytest.mark.parametrize(("kind", "execution"), CASES)
def test_steps_and_evaluation_match_numpy_float64(kind, execution):
    task, expected = train_both(kind, execution)
    model = task.models["main"]
    floats = [v for v in model.variables if tf.as_dtype(v.dtype).is_floating]
    for variable, value in zip(floats, expected.values(), strict=True):
        independent.assert_close(variable.numpy(), value, variable.path)
    for (name, kept), value in zip(task.average.state(), expected.averages, strict=True):
        independent.assert_close(kept.numpy(), value, name)
    for slot, ending in SLOTS[kind].items():
        found = independent.slots(task, "main", ending)
        for value, kept in zip(found, expected.updates.slots, strict=True):
            independent.assert_close(value, kept[slot], slot)
    assert int(task.optimizers["main"].iterations.numpy()) == STEPS
    check_evaluation(task, expected, execution)


def check_evaluation(task, expected, execution):
    """The last three examples are padding: whatever their loss, they count nowhere."""
    x, y, w = (values[0].copy() for values in examples())
    w[-1] = 0
    sums = runner(make_eval_step, task, execution)(x, y, w)
    whole = expected.evaluate(x.reshape(-1, INPUTS), y.ravel(), w.ravel())
    assert_sums(sums, whole)
    x[-1] = np.nan
    spoilt = runner(make_eval_step, task, execution)(x, y, w)
    independent.assert_close(spoilt["loss"], whole["loss"])
