"""What is computed again on the way back: the same bits, the same draws, statistics once."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine import graphs, segments
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.task import Parts
from trainer.tasks.supervised import Supervised

V, STEPS = 2, 2
PER_EXAMPLE = keras.losses.mean_squared_error


def convolutions():
    layers = keras.layers
    return [
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(momentum=0.5),
        layers.Dropout(0.3),
        layers.Conv2D(4, 3, activity_regularizer=keras.regularizers.L2(0.1)),
        layers.BatchNormalization(momentum=0.5),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(1),
    ]


def build(how="plain", layers=convolutions):
    keras.utils.set_random_seed(0)
    scope = keras.RematScope("full") if how == "scope" else contextlib.nullcontext()
    with scope:
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers()])
    if how == "cut":
        segments.cut(model, "config.model")
    optimizer = keras.optimizers.Adam(0.01)
    build_slots(optimizer, model.trainable_variables)
    parts = Parts({"main": model}, {"main": optimizer}, {}, PER_EXAMPLE, None)
    return Supervised(parts, input="x", label="y")


def step_of(task, execution):
    train = make_train_step(task, StepPlan(0, V, "exact", execution, {}))
    x = tf.constant(np.random.default_rng(0).normal(size=(V, 4, 8, 8, 1)), tf.float32)
    batch, zero = {"x": x, "y": x[:, :, 0, 0]}, tf.constant(0, tf.int64)
    return tf.function(
        lambda step: train(Microbatches(batch, tf.ones([V, 4]), zero, step)),
        autograph=False,
        jit_compile=execution == "xla_loop" or None,
    )


def trained(how, execution):
    task = build(how)
    step = step_of(task, execution)
    losses = [float(step(tf.constant(n, tf.int64))["loss"]) for n in range(STEPS)]
    return losses, [v.numpy() for v in task.state().values()]


@pytest.mark.parametrize("execution", ["graph", pytest.param("xla_loop", marks=pytest.mark.slow)])
def test_a_model_that_is_cut_into_segments_has_the_same_bits(execution):
    (losses, state), (again, other) = (trained(how, execution) for how in ("plain", "cut"))
    assert again == losses
    for value, expected in zip(other, state, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_layers_in_a_remat_scope_compute_the_same():
    (losses, state), (again, other) = (trained(how, "graph") for how in ("plain", "scope"))
    # The penalty of an output is added to its gradient in another order.
    assert again == pytest.approx(losses, rel=1e-6)
    for value, expected in zip(other, state, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


def test_the_layers_are_computed_again_in_the_graph():
    counts = {}
    for how in ("plain", "cut"):
        graph = step_of(build(how), "graph").get_concrete_function(tf.TensorSpec([], tf.int64))
        counts[how] = [op.type for op in graphs.operations(graph.graph)].count("Conv2D")
    assert counts == {"plain": 2, "cut": 4}


def test_what_cannot_be_computed_again_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(
        RunError, match=r"config.model.remat=true: Own is no graph.*RematScope"
    ) as e:
        segments.cut(Own(), "config.model")
    assert e.value.code is ExitCode.BAD_CONFIG

    def spectral():
        norm = keras.layers.SpectralNormalization(keras.layers.Dense(2))
        return [keras.layers.Flatten(), norm, keras.layers.Dense(1)]

    # Keras wraps what is raised inside of a layer, as long as it filters tracebacks.
    with pytest.raises(Exception, match=r"assigns .*kernel.*computed again.*outside of RematScope"):
        step_of(build("scope", spectral), "graph")(tf.constant(0, tf.int64))
