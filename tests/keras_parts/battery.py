"""Trains with classes of Keras, each alone; prints what became of each, a line of JSON.

A process of its own: `python -m tests.keras_parts.battery REPLICAS PRECISION EXECUTION WHAT ...`,
where WHAT is a kind or `kind.Class`. On one replica it also does the same in plain Keras, and tells
how far apart they are.
"""

import contextlib
import dataclasses
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import RunError
from tests.keras_parts import making
from tests.keras_parts.classes import KINDS, classes
from trainer import build, user_code
from trainer.checkpoint import digest
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import OptimizerConfig, PartConfig, TrainConfig
from trainer.data.info import Feature, Shard, Split
from trainer.data.serving.order import Batches, SequentialOrder
from trainer.data.serving.resident import ResidentPipeline
from trainer.engine.audit import audited
from trainer.engine.inner_loop import InnerLoop
from trainer.engine.optimizer import backend_neutral
from trainer.engine.scopes import philox_seeds, unseeded_draws
from trainer.engine.step import make_eval_step, make_train_step, zero_sums
from trainer.engine.step_sums import add
from trainer.engine.virtual_replica import VirtualReplicaState
from trainer.run.evaluation import results
from trainer.tasks.supervised import Supervised

STEPS, BATCH, V = 3, 8, 4
RATE = 0.05
MAKING = "tests.keras_parts.making"
SINGULAR = {k: k.removesuffix("s") for k in KINDS} | {"losses": "loss"}
ROUNDED = {"Accuracy", "IoU", "MeanIoU"}  # they compare class numbers
WHOLE = {"Circle": 2}  # virtual replicas; a microbatch of two has no pairs alike and unlike
ONE_VALUE = {"Mean", "Sum"}  # they take a value, not labels and predictions

# It reads its momentum after it has written it, where variables are those of TensorFlow: the old
# one that its formula means is what the pure form of Keras gives, on every backend.
PURE = {"ScheduleFreeAdamW"}


class Measured(Supervised):
    """Counts one metric; what it minimizes knows nothing of the labels."""

    def __init__(self, parts, *, metric=""):
        super().__init__(parts, input="x", label="y")
        self.measured = metric
        if metric in ONE_VALUE:
            self.held = making.metric(name=metric)

    @classmethod
    def model_shapes(cls, features, *, metric=""):  # noqa: ARG003 - a config names it
        return {"main": (features["x"].shape, 3)}

    def _losses(self, microbatch, *, training):
        predictions = self.model(microbatch["x"], training=training)
        weights = {"sample_weight": microbatch.weights}
        counted(self.metrics.values(), self.measured, microbatch["y"], predictions, **weights)
        return tf.reduce_mean(predictions**2, axis=-1)


def counted(metrics, name, labels, predictions, **weights):
    for metric in metrics:
        if name in ONE_VALUE:
            metric.update_state(predictions[:, 0], **weights)
        else:
            seen = tf.argmax(predictions, axis=-1) if name in ROUNDED else predictions
            seen = predictions[:, 0] if name == "BinaryIoU" else seen
            metric.update_state(labels, seen, **weights)


@dataclasses.dataclass(frozen=True)
class Case:
    """One class, and how it is trained."""

    kind: str
    name: str
    replicas: int
    precision: str = "float32"
    execution: str = "graph"
    virtual_replicas: int = V

    def config(self):
        part = PartConfig(f"{MAKING}:{SINGULAR[self.kind]}", {"name": self.name})
        named = PartConfig("supervised", {"input": "x", "label": "y"})
        counted = self.kind == "metrics" and self.name not in ONE_VALUE
        plain = OptimizerConfig("sgd", learning_rate=RATE)
        if self.kind == "losses":
            named = PartConfig("tests.keras_parts.battery:Compared")
        if self.kind == "metrics":
            named = PartConfig("tests.keras_parts.battery:Measured", {"metric": self.name})
        if self.kind == "optimizers":
            plain = OptimizerConfig(part.name, learning_rate=RATE, args=part.args)
        model = PartConfig(f"{MAKING}:small", {"steps": 6} if self.name == "CTC" else {})
        if self.kind == "layers":
            model = PartConfig(f"{MAKING}:model", {"layer": self.name})
        return TrainConfig(
            train_steps=STEPS,
            global_batch_size=BATCH,
            virtual_replicas=self.virtual_replicas,
            precision=self.precision,
            execution=self.execution,
            task=named,
            model=model,
            loss=PartConfig(f"keras.losses:{self.name}" if self.kind == "losses" else "mse"),
            regularizer=part if self.kind == "regularizers" else None,
            metrics=(part,) if counted else (),
            optimizer=plain,
        )

    def examples(self):
        rng = np.random.default_rng(0)
        count = BATCH * STEPS
        shape, dtype = making.input_of(self.name) if self.kind == "layers" else ((4,), "float32")
        x = rng.uniform(size=(count, *shape)).astype(np.float32)
        if dtype == "int64":
            x = rng.integers(0, 4, (count, *shape))
        y = rng.normal(size=(count, 3)).astype(np.float32)
        if self.kind in ("losses", "metrics"):
            y = making.targets(self.kind, self.name, count, rng)
        return {"x": x, "y": y}

    def features(self):
        given = self.examples()
        return {n: Feature(v.shape[1:], str(v.dtype)) for n, v in given.items()}

    def task(self):
        scale = keras.Variable(1.0, trainable=False)
        given = {"total_steps": STEPS, "rate_scale": scale}
        return build.build_task(self.config(), self.features(), **given), scale


class Compared(Supervised):
    """Supervised with three outputs whatever the labels are."""

    def __init__(self, parts):
        super().__init__(parts, input="x", label="y")

    @classmethod
    def model_shapes(cls, features):
        return {"main": (features["x"].shape, 3)}


def outcome(case):
    """Return what became of a class: "digest" and how far from Keras it is, or "refused"."""
    keras.backend.clear_session()
    distribution = strategy.create(Placement("cpu", case.replicas))
    try:
        found = trained(case, distribution)
        if (
            case.kind != "metrics"
            and case.replicas == 1
            and (case.precision, case.execution) == ("float32", "graph")
        ):
            found |= compared(dataclasses.replace(case, virtual_replicas=1), distribution)
    except Exception as error:  # whatever it is, it is this class's verdict
        return explained(error)
    return found


def explained(error):
    chain = [error]
    while chain[-1] is not None:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    refused = [e for e in chain if isinstance(e, RunError)]
    if refused:
        return {"refused": refused[0].reason}
    return {"error": user_code.reason_of(error), "at": user_code.place_of(error)}


def trained(case, distribution):
    """Train 3 steps, the last two again from what was saved after the first."""
    with distribution.scope():
        task, scale = case.task()
    train = loop(case, task, scale, distribution, training=True)
    begun = task_values(task)
    sums = add(None, train(0, 1))
    saved = task_values(task)
    ends = []
    for _ in range(2):
        for name, variable in task.state().items():
            variable.assign(saved[name])
        whole = add(sums, train(1, STEPS - 1))
        state = {**task_values(task), **{f"sum/{n}": np.asarray(v) for n, v in whole.items()}}
        ends.append(digest(state, STEPS))
    assert ends[0] == ends[1], "what was saved is not the whole state"
    assert all(np.isfinite(v).all() for v in state.values()), "a number is not finite"
    weights = [n for n in begun if n.startswith("main/")]
    assert any(not np.array_equal(begun[n], saved[n]) for n in weights), "training changed nothing"
    found = {"digest": ends[0], "loss": float(whole["loss"] / whole["weight"])}
    if case.kind == "metrics":
        evaluated = add(None, loop(case, task, scale, distribution, training=False)(0, STEPS))
        values = results(evaluated, task.metrics, STEPS)
        found["value"] = next(v for n, v in values.items() if n != "loss")
        found["digest"] += f" {found['value']!r}"
        found["keras"] = apart(found["value"], by_metric(case, task))
    return found


def task_values(task):
    return {name: np.asarray(v.numpy()) for name, v in task.state().items()}


def loop(case, task, scale, distribution, *, training):
    order = SequentialOrder(Split("train", (Shard("unused", BATCH * STEPS),), 0, BATCH * STEPS))
    cut = Batches(order, BATCH, BATCH // case.virtual_replicas, range(BATCH))
    plan = build.step_plan(case.config())
    made = make_train_step(task, plan) if training else make_eval_step(task, plan)
    return InnerLoop(
        distribution,
        audited(made, [*task.readable(), scale]),
        ResidentPipeline(distribution, case.examples(), cut, STEPS),
        lambda batch, _: batch,
        microbatches_per_replica=case.virtual_replicas // distribution.num_replicas_in_sync,
        zero=zero_sums(task, training=training),
        compiled=False,
    )


def by_metric(case, task):
    """Return the value that Keras gives for all examples at once."""
    metric, given = making.metric(name=case.name), case.examples()
    predictions = task.model(given["x"], training=False)
    counted([metric], case.name, given["y"], predictions)
    return float(metric.result())


def compared(case, distribution):
    """Train with one virtual replica and in plain Keras; return how far apart they end."""
    with distribution.scope():
        task, scale = case.task()
    sums = add(None, loop(case, task, scale, distribution, training=True)(0, STEPS))
    loss = float(sums["loss"] / sums["weight"])
    weights, losses = by_keras(case)
    ours = numbers(task.model)
    pairs = [*zip(ours, weights, strict=True), (loss, float(np.mean(losses)))]
    return {"keras": max(apart(*pair) for pair in pairs), "loss_of_one": loss}


def apart(found, expected):
    """Return the largest difference, relative where the expected numbers are large."""
    error = np.abs(np.subtract(found, expected)) / (1.0 + np.abs(expected))
    return float(np.max(error, initial=0.0))


def by_keras(case):
    """Do in plain Keras what the engine does; random numbers come from the same seeds."""
    task, _ = case.task()
    model, given = task.model, case.examples()
    optimizer = keras.optimizers.SGD(RATE)
    if case.kind == "optimizers":
        optimizer = making.optimizer(RATE, name=case.name)
    pure = case.kind == "optimizers" and case.name in PURE
    with backend_neutral() if pure else contextlib.nullcontext():
        optimizer.build(model.trainable_variables)
    per_batch = made_loss(case)
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        key = tf.stack([build.step_plan(case.config()).stream(0), tf.constant(step, tf.int64)])
        state = VirtualReplicaState(task)
        drawn = philox_seeds(key, len(state.seeds))
        for variable, seed in zip(state.seeds, tf.unstack(drawn), strict=True):
            variable.assign(tf.cast(seed, variable.dtype))
        with unseeded_draws(task.unseeded), tf.GradientTape() as tape:
            outputs = model(tf.constant(given["x"][part]), training=True)
            loss = per_batch(given["y"][part], tf.cast(outputs, tf.float32))
            loss_and_penalty = loss + sum(model.losses) + penalty(case, model)
        grads = tape.gradient(loss_and_penalty, model.trainable_variables)
        pairs = zip(grads, model.trainable_variables, strict=True)
        update(optimizer, [(g, v) for g, v in pairs if g is not None])
        losses.append(float(loss_and_penalty))
    return numbers(model), losses


def update(optimizer, pairs):
    """Apply the gradients: as Keras does on TensorFlow, or as it does on every backend."""
    if type(optimizer).__name__ not in PURE:
        optimizer.apply_gradients(pairs)
        return
    with backend_neutral(), keras.StatelessScope() as scope:
        optimizer.apply(*map(list, zip(*pairs, strict=True)))
    for variable in (*optimizer.variables, *(v for _, v in pairs)):
        if (value := scope.get_current_value(variable)) is not None:
            variable.assign(value)


def numbers(model):
    """Return what training moves; states of seed generators stand for nothing."""
    return [v.numpy() for v in model.variables if not v.path.endswith("seed_generator_state")]


def made_loss(case):
    if case.kind == "losses":
        return making.loss(name=case.name)
    if case.kind == "metrics":
        return lambda _, outputs: tf.reduce_mean(outputs**2)
    return lambda y, outputs: tf.reduce_mean((y - outputs) ** 2)


def penalty(case, model):
    if case.kind != "regularizers":
        return 0.0
    found = making.regularizer(name=case.name)
    return sum(found(v.value) for v in model.trainable_variables if len(v.shape) > 1)


def main(replicas, precision, execution, *what):
    strategy.configure_runtime(1, compiled=execution != "graph")
    for chosen in what:
        kind, _, only = chosen.partition(".")
        for name in [only] if only else classes(kind):
            most = WHOLE.get(name, V)
            found = outcome(Case(kind, name, int(replicas), precision, execution, most))
            print(json.dumps({"kind": kind, "name": name, **found}), flush=True)


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(*sys.argv[1:])
