"""A loss over the whole batch: that of NumPy, however it is cut; the same draws in both passes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.engine import numpy_step as independent
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.task import Parts, Task

B, V, INPUTS, RATE, SEED, STEP = 8, 4, 5, 0.5, 3, 2


class TwoTowers(Task):
    """Pulls the two towers' embeddings of an example together, and apart from all others."""

    def __init__(self, parts):
        super().__init__(parts)
        self.temperature = keras.Variable(0.7, name="temperature")
        self.hits = keras.metrics.Mean("hits")

    def embed(self, microbatch):
        towers = (self.models["main"], self.models["other"])
        return {
            name: tf.math.l2_normalize(tower(microbatch[name], training=True), axis=-1)
            for name, tower in zip("xy", towers, strict=True)
        } | {"class": microbatch["class"]}

    def loss_of_batch(self, embedded):
        logits = embedded["x"] @ tf.transpose(embedded["y"]) / self.temperature
        same = tf.cast(embedded["class"][:, None] == embedded["class"], tf.float32)
        right = tf.linalg.diag_part(logits)
        self.hits.update_state(tf.reduce_max(logits, 1) == right)
        others = logits - 50.0 * (same - tf.eye(B))  # of the same class: no negatives
        return tf.reduce_logsumexp(others, 1) - right

    def example_weights(self, microbatch):
        return microbatch.weights * microbatch["weight"]

    def variables(self):
        towers = self.models.values()
        return [v for tower in towers for v in tower.trainable_variables] + [self.temperature]

    def train_step(self, replica):
        grads = replica.gradient_of_batch(self.embed, self.loss_of_batch, self.variables())
        replica.apply(self.optimizers["main"], grads, self.variables())


def tower(layers=()):
    return keras.Sequential(
        [keras.Input((INPUTS,)), keras.layers.Dense(6, "tanh"), *layers, keras.layers.Dense(4)]
    )


def build(kind=TwoTowers, layers=list):
    keras.utils.set_random_seed(SEED)
    models = {"main": tower(layers()), "other": tower(layers())}
    optimizer = keras.optimizers.SGD(RATE)
    task = kind(Parts(models, {"main": optimizer}, {}, None, lambda w: 0.01 * tf.reduce_sum(w**2)))
    build_slots(optimizer, task.variables())
    return task


def examples():
    rng = np.random.default_rng(SEED)
    features = {n: rng.normal(size=(B, INPUTS)) for n in "xy"}
    return features | {"class": np.arange(B) // 2, "weight": rng.uniform(0.5, 2, B)}


def run(task, virtual_replicas, execution="graph"):
    train = make_train_step(task, StepPlan(SEED, virtual_replicas, "exact", execution, {}))
    shape = [virtual_replicas, B // virtual_replicas]
    batch = {
        name: tf.reshape(
            tf.cast(x, tf.int64 if name == "class" else tf.float32), [*shape, *x.shape[1:]]
        )
        for name, x in examples().items()
    }

    @tf.function(autograph=False, jit_compile=execution == "xla_loop" or None)
    def step(number):
        return train(Microbatches(batch, tf.ones(shape), tf.constant(0, tf.int64), number))

    return {
        name: float(x) for name, x in step(tf.constant(STEP, tf.int64)).items() if x.shape.rank == 0
    }


def expected(layers=list, drop=lambda x, _: x):
    """Return loss, metric and new weights of a step in float64."""
    task, data = build(layers=layers), examples()
    weights = [np.array(v.numpy(), np.float64) for v in task.variables()]
    found = {}

    def embed(tower, w1, b1, w2, b2):
        z = drop(np.tanh(data["xy"[tower]] @ w1 + b1), tower) @ w2 + b2
        return z / np.sqrt((z**2).sum(1, keepdims=True))

    def loss(ws):
        logits = embed(0, *ws[:4]) @ embed(1, *ws[4:8]).T / ws[8]
        same = (data["class"][:, None] == data["class"]) - np.eye(B)
        values = np.log(np.exp(logits - 50.0 * same).sum(1)) - np.diag(logits)
        found["hits"] = (logits.real.argmax(1) == np.arange(B)).sum()
        penalty = 0.01 * sum((w**2).sum() for w in ws if w.ndim > 1)
        return (data["weight"] * values).sum() / data["weight"].sum() + penalty

    grads = independent.gradient(loss, weights)
    found["loss"] = loss(weights) * data["weight"].sum()
    return found, [w - RATE * g for w, g in zip(weights, grads, strict=True)]


@pytest.mark.parametrize(
    ("virtual_replicas", "execution"),
    [(1, "graph"), (4, "graph"), (4, "xla_step"), (4, "xla_loop"), (1, "xla_loop")],
)
def test_a_step_is_that_of_numpy_however_the_batch_is_cut(virtual_replicas, execution):
    task, (sums, weights) = build(), expected()
    found = run(task, virtual_replicas, execution)
    check(task, found, sums, weights)


@pytest.mark.parametrize("execution", ["graph", "xla_step"])
def test_both_passes_drop_the_same_units(execution):
    keys = [independent.key(SEED, STEP, v, V, call=0) for v in range(V)]
    drops = [independent.Dropout(k, 2, hashed=execution != "graph") for k in keys]

    def drop(x, tower):
        parts = zip(drops, np.split(x, V), strict=True)
        return np.concatenate([dropped(part, 0.4, tower) for dropped, part in parts])

    def layers():
        return [keras.layers.Dropout(0.4)]

    task = build(layers=layers)
    check(task, run(task, V, execution), *expected(layers, drop))


def check(task, found, sums, weights):
    assert found["loss"] == pytest.approx(sums["loss"], rel=2e-6)
    assert found["metric/hits/0"] == sums["hits"]
    assert found["metric/hits/1"] == B
    for variable, value in zip(task.variables(), weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=0, atol=1e-6)


class Normalized(TwoTowers):
    """Has a layer of statistics that the microbatches use, or the loss, or both."""

    in_loss = in_embed = False

    def __init__(self, parts):
        super().__init__(parts)
        self.norm = keras.layers.BatchNormalization(momentum=0.5, center=False, scale=False)
        self.norm.build((None, INPUTS))

    def embed(self, microbatch):
        x = microbatch["x"]
        made = super().embed(microbatch)
        return made | {"z": self.norm(x, training=True) if self.in_embed else x}

    def loss_of_batch(self, embedded):
        z = embedded["z"]
        z = self.norm(z, training=True) if self.in_loss else z
        return super().loss_of_batch(embedded) + 0.0 * tf.reduce_sum(z, 1)


@pytest.mark.parametrize(("place", "parts"), [("in_embed", V), ("in_loss", 1)])
def test_statistics_move_once_by_what_their_layer_has_seen(place, parts):
    task = build(type("One", (Normalized,), {place: True}))
    run(task, V)
    x = examples()["x"].reshape(parts, -1, INPUTS)
    np.testing.assert_allclose(task.norm.moving_mean, x.mean(1).mean(0) / 2, rtol=1e-5)
    np.testing.assert_allclose(task.norm.moving_variance, (1 + x.var(1).mean(0)) / 2, rtol=1e-5)


def test_statistics_that_both_would_move_are_refused():
    with pytest.raises(RunError, match="moving_mean is assigned by the microbatches and by") as e:
        run(build(type("Both", (Normalized,), {"in_embed": True, "in_loss": True})), V)
    assert e.value.code is ExitCode.BAD_CONFIG


def gathering(made):
    class Gathering(TwoTowers):
        def train_step(self, replica):
            replica.gather(made)

    return Gathering


def test_what_is_gathered_stands_in_the_order_of_the_batch_and_may_be_counted():
    class Noting(TwoTowers):
        """Keeps what it gathers, and counts it."""

        def __init__(self, parts):
            super().__init__(parts)
            self.seen = keras.Variable(tf.zeros([B, INPUTS]), trainable=False, name="seen")
            self.largest = keras.metrics.Mean("largest")

        def train_step(self, replica):
            whole = replica.gather(lambda m: {"x": m["x"], "class": m["class"]})
            super().train_step(replica)
            self.seen.assign(whole["x"])
            self.largest.update_state(whole["class"])

    task = build(Noting)
    found = run(task, V)
    np.testing.assert_allclose(task.seen, examples()["x"], rtol=1e-6)
    assert found["metric/largest/0"] == examples()["class"].sum()
    assert found["metric/largest/1"] == found["metric/hits/1"] == B


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (lambda m: tf.reduce_sum(m["x"]), r"gathered is float32\[\]; allowed: \[2, ...\]"),
        (lambda m: {"a": m["x"], "b": None}, "gathered is None"),
        (lambda _: tf.constant(["a", "b"]), r"gathered is string\[2\]"),
    ],
)
def test_what_is_not_one_number_an_example_is_refused(kind, message):
    with pytest.raises(RunError, match=message):
        run(build(gathering(kind)), V)


def test_a_loss_of_another_shape_and_add_loss_are_refused():
    class Wide(TwoTowers):
        def loss_of_batch(self, embedded):
            return embedded["x"]

    class Adding(TwoTowers):
        def loss_of_batch(self, embedded):
            keras.layers.ActivityRegularization(1.0)(embedded["x"])
            self.models["main"].add_loss(tf.reduce_mean(embedded["x"]))
            return super().loss_of_batch(embedded)

    with pytest.raises(RunError, match=r"loss of a batch has the shape \(8, 4\).*float\[8\]"):
        run(build(Wide), V)
    with pytest.raises(RunError, match="add_loss in the loss of a batch"):
        run(build(Adding), V)
