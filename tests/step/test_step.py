"""What a step refuses, and what it leaves out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine.pure_optimizer import make_pure
from trainer.engine.reduction import subtree_sums, tree_sum
from trainer.engine.step import Lanes, StepPlan, make_train_step
from trainer.exit_codes import ExitCode, RunError
from trainer.task import Parts
from trainer.tasks.supervised import Supervised


def per_example(labels, outputs):
    return tf.reduce_mean((labels - outputs) ** 2, axis=-1)


def build(loss=per_example, layers=()):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    parts = Parts({"main": model}, {"main": make_pure(optimizer)}, {}, loss, None)
    return Supervised(parts, input="x", label="y")


def run(task, *inputs):
    train = make_train_step(task, StepPlan(0, 2, "exact", "graph", {}))

    @tf.function(autograph=False)
    def compiled(batch, step):
        return train(Lanes(batch, tf.ones([2, 2]), tf.constant(0, tf.int64), step))

    sums = []
    for step, x in enumerate(inputs):
        batch = {"x": tf.constant(x, tf.float32, [2, 2, 2]), "y": tf.ones([2, 2, 1])}
        sums.append(compiled(batch, tf.constant(step, tf.int64)))
    return sums


def state(task):
    return {name: v.numpy().copy() for name, v in task.state().items()}


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_step_that_is_not_finite_is_as_if_it_never_was(bad):
    layers = [keras.layers.BatchNormalization()]
    good, other = np.arange(8.0), np.arange(8.0)[::-1].copy()
    poisoned = good.copy()
    poisoned[3] = bad
    with_bad, without = build(layers=layers), build(layers=[keras.layers.BatchNormalization()])
    sums = run(with_bad, good, poisoned, other)
    run(without, good, other)
    assert [float(s["skipped"]) for s in sums] == [0, 1, 0]
    for value, expected in zip(state(with_bad).values(), state(without).values(), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_scalar_loss_is_refused_with_the_reason():
    task = build(loss=lambda y, p: tf.reduce_mean((y - p) ** 2))
    with pytest.raises(RunError, match=r"returned a scalar.*float\[2\]") as caught:
        run(task, np.arange(8.0))
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_a_loss_of_another_shape_is_refused():
    with pytest.raises(RunError, match=r"the loss has shape \[2, 1\]"):
        run(build(loss=lambda y, p: (y - p) ** 2), np.arange(8.0))


class Counting(keras.layers.Layer):
    """Counts its calls in an integer: state that lanes cannot average."""

    def build(self, _):
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign_add(1)
        return x


def test_integer_state_changed_by_the_forward_pass_is_refused():
    with pytest.raises(RunError, match=r"calls.*float32"):
        run(build(layers=[Counting()]), np.arange(8.0))


@pytest.mark.parametrize("lanes", range(1, 17))
def test_the_tree_does_not_depend_on_who_holds_the_lanes(lanes):
    rows = tf.random.stateless_normal([lanes, 33], [1, lanes]) * 1e3
    whole = tree_sum(rows).numpy()
    for replicas in [r for r in range(1, lanes + 1) if lanes % r == 0]:
        held = tf.split(rows, replicas)
        partials = tf.concat([subtree_sums(rows) for rows in held], axis=0)
        np.testing.assert_array_equal(tree_sum(partials).numpy(), whole)
