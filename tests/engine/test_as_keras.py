"""With one virtual replica a step is what the same lines do in plain Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import RunError
from tests.engine.test_step import build, per_example, run

INPUTS = [np.linspace(-1.0, 1.0 + i, 4) for i in range(6)]


def excluding(rate):
    class Excluding(keras.optimizers.AdamW):
        def build(self, variables):
            self.exclude_from_weight_decay([v for v in variables if "bias" in v.path])
            super().build(variables)

    return Excluding(rate, weight_decay=0.5)


class Unused(keras.layers.Layer):
    """Has a weight that the loss does not see."""

    def build(self, _):
        self.idle = self.add_weight(shape=(3,), initializer="ones", name="idle")

    def call(self, x):
        return x


class Twice(keras.layers.Layer):
    """Calls a layer twice, as a GAN asks its discriminator of real and of drawn images."""

    def __init__(self):
        super().__init__()
        self.norm = keras.layers.SpectralNormalization(keras.layers.Dense(2))

    def call(self, x):
        return self.norm(x) - self.norm(2.0 * x + 1.0)


CASES = {
    "nadam": ({"optimizer": keras.optimizers.Nadam}, 1e-6),
    "muon": ({"optimizer": keras.optimizers.Muon}, 1e-5),
    "excluded from weight decay": ({"optimizer": excluding}, 1e-6),
    "unused weight": (
        {
            "layers": [Unused],
            "optimizer": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.5),
        },
        1e-6,
    ),
    "spectral normalization": (
        {"layers": [lambda: keras.layers.SpectralNormalization(keras.layers.Dense(3))]},
        1e-5,
    ),
    "spectral normalization, called twice": ({"layers": [Twice]}, 1e-5),
    "batch normalization": ({"layers": [keras.layers.BatchNormalization]}, 1e-5),
}


def seeded(layers, optimizer):
    keras.utils.set_random_seed(0)  # layers take their seeds when they are made
    return build(layers=[make() for make in layers], optimizer=optimizer)


def trained_by_keras(task, optimizer):
    optimizer.build(task.model.trainable_variables)
    for x in INPUTS:
        with tf.GradientTape() as tape:
            outputs = task.model(tf.reshape(tf.constant(x, tf.float32), [2, 2]), training=True)
            loss = tf.reduce_mean(per_example(tf.ones([2, 1]), outputs))
        weights = task.model.trainable_variables
        pairs = [(g, v) for g, v in zip(tape.gradient(loss, weights), weights, strict=True)]
        optimizer.apply_gradients([(g, v) for g, v in pairs if g is not None])
    return {v.path: v.numpy() for v in task.model.variables}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_same_weights_as_in_keras(name):
    given, tolerance = CASES[name]
    layers, optimizer = given.get("layers", []), given.get("optimizer", keras.optimizers.Adam)
    task, twin = (seeded(layers, optimizer) for _ in range(2))
    expected = trained_by_keras(twin, optimizer(0.1))
    run(task, *INPUTS, microbatches=1)
    found = {v.path: v.numpy() for v in task.model.variables}
    assert len(found) == len(expected)
    for value, kerass in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_allclose(value, kerass, rtol=tolerance, atol=tolerance)


def test_synchronized_batch_normalization_is_refused_by_name():
    layer = keras.layers.BatchNormalization(synchronized=True, name="norm")
    with pytest.raises(RunError, match=r"norm.*synchronized=True.*microbatch"):
        run(build(layers=[layer]), INPUTS[0], microbatches=1)
