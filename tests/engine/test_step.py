"""What a step refuses, and what it leaves out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.engine.inner_loop import InnerLoop
from trainer.engine.optimizer import build_slots
from trainer.engine.reduction import subtree_sums, sum_over_microbatches, tree_sum
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.engine.step_sums import add
from trainer.optimizers.loss_spike import LossSpike
from trainer.task import Parts
from trainer.tasks.supervised import Supervised


def per_example(labels, outputs):
    return tf.reduce_mean((labels - outputs) ** 2, axis=-1)


def build(loss=per_example, layers=(), optimizer=keras.optimizers.Adam, kind=Supervised):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    made = optimizer(0.1)
    build_slots(made, model.trainable_variables)
    parts = Parts({"main": model}, {"main": made}, {}, loss, None)
    return kind(parts, input="x", label="y")


def run(task, *inputs, microbatches=2):
    train = make_train_step(task, StepPlan(0, microbatches, "exact", "graph", {}))

    @tf.function(autograph=False)
    def compiled(batch, step):
        return train(
            Microbatches(batch, tf.ones([microbatches, 2]), tf.constant(0, tf.int64), step)
        )

    sums = []
    for step, x in enumerate(inputs):
        batch = {
            "x": tf.constant(x, tf.float32, [microbatches, 2, 2]),
            "y": tf.ones([microbatches, 2, 1]),
        }
        sums.append(compiled(batch, tf.constant(step, tf.int64)))
    return sums


def state(task):
    return {name: v.numpy().copy() for name, v in task.state().items()}


def decaying(rate):
    return keras.optimizers.AdamW(rate, weight_decay=0.1)


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, decaying])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_step_that_is_not_finite_is_as_if_it_never_was(bad, optimizer):
    good, other = np.arange(8.0), np.arange(8.0)[::-1].copy()
    poisoned = good.copy()
    poisoned[3] = bad
    with_bad, without = (
        build(layers=[keras.layers.BatchNormalization()], optimizer=optimizer) for _ in range(2)
    )
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


class TwoUpdates(Supervised):
    """Makes two updates in a step, the second with `factor` times the gradient."""

    factor = 1.0

    def train_step(self, replica):
        def loss(microbatch):
            return self.loss(microbatch["y"], self.model(microbatch["x"], training=True))

        variables = self.model.trainable_variables
        grads = replica.gradient(loss, variables)
        replica.apply(self.optimizer, grads, variables)
        replica.apply(self.optimizer, [g * self.factor for g in grads], variables)


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, decaying])
def test_two_updates_of_a_step_are_left_out_together(optimizer):
    task = build(optimizer=optimizer, kind=TwoUpdates)
    task.factor = np.nan
    before = state(task)
    (sums,) = run(task, np.arange(8.0))
    assert float(sums["skipped"]) == 1
    for value, expected in zip(state(task).values(), before.values(), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_the_norm_of_several_updates_is_their_mean():
    task, once = build(kind=TwoUpdates), build()
    task.factor = 3.0
    (sums,), (single,) = run(task, np.arange(8.0)), run(once, np.arange(8.0))
    name = "gradient_norm/main"
    assert float(sums[name]) == pytest.approx(2 * float(single[name]), rel=1e-6)


def test_frozen_weights_stay_as_they_are_on_three_microbatches():
    frozen = keras.layers.Dense(100)
    frozen.trainable = False
    task = build(layers=[frozen])
    before = frozen.get_weights()
    run(task, np.arange(12.0), microbatches=3)
    # A mean over three microbatches would move every tenth of them by one unit in the last place.
    np.testing.assert_array_equal(frozen.get_weights()[0], before[0])


class Counting(keras.layers.Layer):
    """Counts its calls in an integer: state that microbatches cannot average."""

    def build(self, _):
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign_add(1)
        return x


def test_state_that_the_forward_pass_counts_up_is_refused_without_an_aggregation():
    with pytest.raises(RuntimeError, match=r"calls.*aggregation='mean'"):
        run(build(layers=[Counting()]), np.arange(8.0))


@pytest.mark.parametrize("num", range(1, 10))
def test_the_tree_adds_neighbours_and_an_odd_last_one_on_the_next_level(num):
    rows = np.random.default_rng(num).normal(size=(num, 5)).astype(np.float32)

    def add(level):
        """The rule, one row at a time."""
        if len(level) == 1:
            return level[0]
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        return add(pairs + level[len(pairs) * 2 :])

    np.testing.assert_array_equal(tree_sum(tf.constant(rows)).numpy(), add(list(rows)))
    np.testing.assert_allclose(tree_sum(tf.constant(rows)), rows.sum(0, np.float64), rtol=1e-5)


@pytest.mark.parametrize("microbatches", range(1, 17))
def test_the_tree_does_not_depend_on_who_holds_the_microbatches(microbatches):
    rows = tf.random.stateless_normal([microbatches, 33], [1, microbatches]) * 1e3
    whole = tree_sum(rows).numpy()
    for replicas in [r for r in range(1, microbatches + 1) if microbatches % r == 0]:
        held = tf.split(rows, replicas)
        partials = tf.concat([subtree_sums(rows) for rows in held], axis=0)
        np.testing.assert_array_equal(tree_sum(partials).numpy(), whole)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_values_that_are_not_float32_are_added_alike_on_one_replica_and_two(dtype):
    rows = tf.cast(tf.random.stateless_normal([4, 33], [1, 2]) * 1e3, dtype)
    (alone,) = sum_over_microbatches([rows], "exact")
    held = [subtree_sums(tf.cast(part, tf.float32)) for part in tf.split(rows, 2)]
    assert alone.dtype == rows.dtype
    expected = tf.cast(tree_sum(tf.concat(held, axis=0)), dtype)
    np.testing.assert_array_equal(tf.cast(alone, tf.float64), tf.cast(expected, tf.float64))


class Silent:
    """A pipeline that serves nothing: the steps of this test bring their own numbers."""

    def prepare(self, *_):
        return tf.zeros([])

    def select(self, *_):
        return tf.zeros([])

    def batch(self, *_):
        return {}, tf.ones([1, 1])


def test_a_skipped_step_counts_in_no_sum():
    def step_fn(microbatches):
        bad = microbatches.step == 1
        counts = tf.where(bad, np.nan, [1.0, 2.0])
        return {"metric/recall/0": counts, "skipped": tf.cast(bad, tf.float32)}

    zero = {"metric/recall/0": tf.zeros([2]), "skipped": tf.zeros([])}
    options = {"microbatches_per_replica": 1, "zero": zero, "compiled": False}
    one = tf.distribute.get_strategy()
    run = InnerLoop(one, step_fn, Silent(), lambda batch, _: batch, **options)
    np.testing.assert_array_equal(add(None, run(0, 3))["metric/recall/0"], [2, 4])


class Places(Silent):
    """Serves two microbatches of three examples that are nothing but their places."""

    def batch(self, *_):
        return {}, tf.ones([2, 3])


def test_every_example_is_preprocessed_by_its_place_in_the_run():
    def step_fn(microbatches):
        places = tf.cast(tf.reshape(microbatches.batch["place"], [-1]), tf.float32)
        return {str(index): places[index] for index in range(6)}

    options = {"microbatches_per_replica": 2, "zero": {str(i): tf.zeros([]) for i in range(6)}}
    one = tf.distribute.get_strategy()
    run = InnerLoop(
        one, step_fn, Places(), lambda _, places: {"place": places}, **options, compiled=False
    )
    places = np.stack([run(7, 2).each[str(i)] for i in range(6)], axis=1)
    np.testing.assert_array_equal(places, np.arange(42, 54).reshape(2, 6))


def test_a_spike_is_a_mean_loss_far_above_the_losses_before_it():
    task = build(optimizer=lambda _: keras.optimizers.SGD(1e-6))
    task.models["main"].set_weights([np.ones([2, 1]), np.zeros(1)])
    task.loss_spike = LossSpike(3.0)
    mean, expected = 0.0, []
    # A loss of 1 and once of 5: a mean that held it already would let it pass.
    sums = run(task, *[np.full(8, 1.618 if step == 22 else 0.0) for step in range(25)])
    losses = [float(s["loss"] / s["weight"]) for s in sums]
    for step, loss in enumerate(losses):
        expected.append(step >= 20 and loss > 3.0 * mean)
        n = sum(not spike for spike in expected[:-1])
        decay = min(0.98, (1 + n) / (10 + n))
        mean = mean if expected[-1] else decay * mean + (1 - decay) * loss
    assert expected == [step == 22 for step in range(25)]
    assert [bool(s["spike"]) for s in sums] == [bool(s["skipped"]) for s in sums] == expected
    kept = {name: float(v.numpy()) for name, v in task.loss_spike.state()}
    assert kept == {"mean": pytest.approx(mean, rel=1e-5), "updates": 24}
