"""Penalties against NumPy: one float32 scalar."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import registry
from trainer.task import Parts, Task

W = np.random.default_rng(5).normal(size=(3, 4))
CASES = {
    "l1": ({"l1": 0.3}, np.abs(0.3 * W).sum()),
    "l2": ({"factor": 0.3}, 0.3 * (W**2).sum()),
    "elastic_net": ({"l1": 0.2, "l2": 0.5}, 0.2 * np.abs(W).sum() + 0.5 * (W**2).sum()),
}


def make(name):
    return registry.resolve(registry.REGULARIZERS, name, "regularizer.name")(**CASES[name][0])


def test_every_regularizer_has_a_case():
    assert set(CASES) == set(registry.REGULARIZERS)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_penalty_matches_reference(name, jit_compile):
    penalty = tf.function(make(name), jit_compile=jit_compile)(tf.constant(W, tf.float32))
    assert penalty.dtype == tf.float32
    assert penalty.shape.rank == 0
    np.testing.assert_allclose(penalty, CASES[name][1], rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_penalty_of_bfloat16_weights_is_summed_in_float32(name):
    parts = Parts(models={}, optimizers={}, metrics={}, loss=None, regularizer=make(name))
    weights = keras.Variable(np.ones([100, 100]), dtype="bfloat16")
    penalty = Task(parts).penalty([weights])
    assert penalty.dtype == tf.float32
    np.testing.assert_allclose(penalty, make(name)(tf.ones([100, 100])))


@pytest.mark.parametrize("name", CASES)
def test_a_keras_layer_takes_it_and_its_config_returns(name):
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(make(name)))
    layer = keras.layers.Dense(4, kernel_regularizer=copy)
    layer.build((None, 3))
    layer.kernel.assign(W)
    np.testing.assert_allclose(layer.losses[0], CASES[name][1], rtol=1e-6)
