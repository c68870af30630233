"""Two models, two optimizers, two gradients in a step, against NumPy float64 (R15, R16)."""

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
from trainer.task import Parts
from trainer.tasks.gan import Gan

SEED, V, MICROBATCH, LATENT, INPUTS = 5, 2, 3, 2, 4
PENALTY, SMOOTHING, DROPOUT = 0.03, 0.1, 0.3
CLIPS = {"discriminator": 0.9, "main": 0.6}
EPSILON, DECAY = 0.1, 0.2
SPOILT = {1: ("first", "loss"), 3: ("second", "loss"), 4: ("first", "gradient"),
          5: ("second", "gradient")}  # fmt: skip
"""Step -> which of its two gradients is not finite, and whether already its loss is not."""
STEPS = 8


class Spoilt(Gan):
    """A GAN whose losses l become sqrt(root * l^2) + offset: l where root = 1 and offset = 0."""

    def _discriminator_loss(self, microbatch, training=True):
        return spoil(super()._discriminator_loss(microbatch, training), microbatch["first"])

    def _generator_loss(self, microbatch, training=True):
        return spoil(super()._generator_loss(microbatch, training), microbatch["second"])


def spoil(losses, how):
    return tf.sqrt(how[:, 0] * tf.square(losses)) + how[:, 1]


def network(inputs, width, outputs, dropout):
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(width, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            *([keras.layers.Dropout(dropout)] if dropout else []),
            keras.layers.Dense(outputs),
        ]
    )


def build():
    keras.utils.set_random_seed(4)
    models = {
        "main": network(LATENT, 5, INPUTS, dropout=0),
        "discriminator": network(INPUTS, 6, 1, dropout=DROPOUT),
    }
    optimizers = {
        "main": keras.optimizers.SGD(0.2, momentum=0.9),
        "discriminator": keras.optimizers.AdamW(0.1, epsilon=EPSILON, weight_decay=DECAY),
    }
    for role, optimizer in optimizers.items():
        build_slots(optimizer, models[role].trainable_variables)
    parts = Parts(models, optimizers, {}, None, lambda w: PENALTY * tf.reduce_sum(w**2))
    return Spoilt(parts, latent=LATENT, real="image", smoothing=SMOOTHING)


def forward(weights, x, normalize, drop=lambda x, *_: x, draw=0):
    kernel, gamma, beta, w, b = weights
    return drop(np.tanh(normalize(x @ kernel, gamma, beta)), DROPOUT, 0, draw) @ w + b


class Reference:
    """The same run in NumPy."""

    def __init__(self, task):
        self.generator, self.discriminator = (
            [v.numpy().astype(np.float64) for v in task.models[role].trainable_variables]
            for role in ("main", "discriminator")
        )
        self.drawing, self.judging = (
            independent.BatchNorm(np.zeros(n), np.ones(n)) for n in (5, 6)
        )
        adamw = functools.partial(reference.adamw, epsilon=EPSILON, decay=DECAY)
        self.updates = {
            "main": independent.Updates(reference.momentum, 0.2, 5),
            "discriminator": independent.Updates(adamw, 0.1, 5),
        }
        self.norms = {"main": [], "discriminator": []}

    def step(self, step, x, w):
        """Make both updates; returns the sums that the step reports."""
        first, second = (self._microbatches(step, call) for call in (0, 1))
        judged = functools.partial(self._judge, first, x, w)
        judge_loss = self._update("discriminator", judged, self.discriminator, w)
        self.discriminator = self.new
        fooled = functools.partial(self._fool, second, w)
        fool_loss = self._update("main", fooled, self.generator, w)
        self.generator = self.new
        return {"loss": judge_loss + fool_loss, "weight": 2 * w.sum(), "skipped": 0.0}

    def _microbatches(self, step, call):
        """Return the noise and the dropout of every microbatch of one gradient."""
        keys = [independent.key(SEED, step, v, V, call) for v in range(V)]
        drops = [independent.Dropout(k, 1, hashed=False) for k in keys]
        return [
            (independent.noise(k, [MICROBATCH, LATENT]), d)
            for k, d in zip(keys, drops, strict=True)
        ]

    def _judge(self, microbatches, x, w, weights):
        total = 0.0
        for v, (noise, drop) in enumerate(microbatches):
            fake = forward(self.generator, noise, self.drawing.microbatch())
            normalize = self.judging.microbatch()
            real_logits, fake_logits = (
                forward(weights, image, normalize, drop, draw)
                for draw, image in enumerate((x[v], fake))
            )
            losses = independent.log_loss(real_logits, 1 - SMOOTHING)
            losses = losses + independent.log_loss(fake_logits, 0)
            total += (w[v] * losses).sum()
        return total

    def _fool(self, microbatches, w, weights):
        total = 0.0
        for v, (noise, drop) in enumerate(microbatches):
            fake = forward(weights, noise, self.drawing.microbatch())
            normalize = self.judging.microbatch()
            logits = forward(self.discriminator, fake, normalize, drop)
            total += (w[v] * independent.log_loss(logits, 1)).sum()
        return total

    def _update(self, role, loss, weights, w):
        def whole(weights):
            penalty = PENALTY * sum((k**2).sum() for k in weights if k.ndim > 1)
            return loss(weights) + penalty * w.sum()

        grads = independent.gradient(lambda moved: whole(moved) / w.sum(), weights)
        total = whole(weights)
        for norm in (self.drawing, self.judging):
            norm.move(V)
        grads, norm = independent.clip(grads, CLIPS[role])
        self.norms[role].append(norm)
        self.new = self.updates[role](weights, grads)
        return total

    def evaluate(self, step, x, w):
        """Return the discriminator's mean loss with statistics that stand still."""
        total = 0.0
        for v, (noise, _) in enumerate(self._microbatches(step, independent.EVALUATION)):
            fake = forward(self.generator, noise, self.drawing.evaluate)
            real_logits, fake_logits = (
                forward(self.discriminator, image, self.judging.evaluate) for image in (x[v], fake)
            )
            losses = independent.log_loss(real_logits, 1 - SMOOTHING)
            total += (w[v] * (losses + independent.log_loss(fake_logits, 0))).sum()
        return total


def runner(make, task):
    made = make(task, StepPlan(SEED, V, "exact", "graph", CLIPS))

    @tf.function(autograph=False)
    def run(batch, w, step):
        return made(Microbatches(batch, w, tf.constant(0, tf.int64), step))

    def call(x, w, step, spoilt=None):
        how = {
            name: np.tile(np.float32([1, 0]), [V, MICROBATCH, 1]) for name in ("first", "second")
        }
        if spoilt is not None:
            name, where = spoilt
            how[name][1, 2] = (1, np.inf) if where == "loss" else (0, 0)
        batch = {"image": tf.constant(x, tf.float32), **how}
        sums = run(batch, tf.constant(w, tf.float32), tf.constant(step, tf.int64))
        return {name: value.numpy() for name, value in sums.items()}

    return call


@pytest.fixture(scope="module")
def trained():
    """Both runs after all steps: the task, its reference, and the pairs of sums of clean steps."""
    rng = np.random.default_rng(6)
    task = build()
    expected, run, pairs = Reference(task), runner(make_train_step, task), []
    for step in range(STEPS):
        x, w = rng.normal(size=(V, MICROBATCH, INPUTS)), rng.uniform(0.5, 2, (V, MICROBATCH))
        sums = run(x, w, step, SPOILT.get(step))
        if step in SPOILT:
            pairs.append(({"skipped": sums["skipped"]}, {"skipped": 1.0}))
        else:
            pairs.append((sums, expected.step(step, x, w)))
    return task, expected, pairs


def test_both_models_and_their_optimizers_match_and_a_spoilt_step_moves_nothing(trained):
    task, expected, _ = trained
    floats = [v for m in task.models.values() for v in m.variables if "seed" not in v.path]
    values = []
    for weights, norm in (
        (expected.generator, expected.drawing), (expected.discriminator, expected.judging)
    ):  # fmt: skip
        values += [*weights[:3], *norm.moving, *weights[3:]]
    for variable, value in zip(floats, values, strict=True):
        independent.assert_close(variable.numpy(), value, variable.path)
    endings = {"main": {"v": "_momentum"}, "discriminator": {"m": "_momentum", "v": "_velocity"}}
    for role, slots in endings.items():
        for slot, ending in slots.items():
            found = independent.slots(task, role, ending)
            for value, kept in zip(found, expected.updates[role].slots, strict=True):
                independent.assert_close(value, kept[slot], ending)
        assert int(task.optimizers[role].iterations.numpy()) == STEPS - len(SPOILT)


def test_every_step_reports_the_sums_of_both_gradients(trained):
    _, expected, pairs = trained
    clean = [pair for pair in pairs if len(pair[0]) > 1]
    for found, sums in pairs:
        for name, value in sums.items():
            independent.assert_close(found[name], value, name)
    for role, norms in expected.norms.items():
        assert min(norms) < 0.95 * CLIPS[role] < 1.05 * CLIPS[role] < max(norms), (role, norms)
        reported = [found[f"gradient_norm/{role}"] for found, _ in clean]
        # Three examples of nearly one value: their normalization enlarges rounding.
        independent.assert_close(reported, norms, role, rtol=2e-5)


def test_evaluation_draws_from_a_stream_of_its_own_and_leaves_padding_out(trained):
    task, expected, _ = trained
    rng = np.random.default_rng(7)
    x, w = rng.normal(size=(V, MICROBATCH, INPUTS)), np.ones((V, MICROBATCH))
    w[1, 1:] = 0
    sums = runner(make_eval_step, task)(x, w, 3)
    whole = expected.evaluate(3, x, w)
    independent.assert_close(sums["loss"], whole)
    independent.assert_close(sums["metric/discriminator_loss/0"], whole)
    assert sums["weight"] == sums["metric/discriminator_loss/1"] == 4
