"""Parts as users write them; prints {case: what became of it} as JSON.

A process of its own: `python -m tests.parts.users REPLICAS`. What is printed of a case are its
weights after two steps, its training and evaluation numbers, or the line by which it is refused.
"""

import dataclasses
import json
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import RunError
from trainer import OptimizerConfig, PartConfig, TrainConfig, build
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import DatasetConfig
from trainer.data.info import Feature, Shard, Split
from trainer.data.serving.order import Batches, SequentialOrder
from trainer.data.serving.resident import ResidentPipeline
from trainer.engine.audit import audited
from trainer.engine.inner_loop import InnerLoop
from trainer.engine.step import make_eval_step, make_train_step, zero_sums
from trainer.engine.step_sums import add
from trainer.run.evaluation import results
from trainer.task import Microbatch, Task, WeightedLosses
from trainer.tasks.supervised import Supervised

STEPS, BATCH, V, EVALUATED = 2, 8, 4, 13
LARGE = 1_000_000_000
FEATURES = {
    "x": Feature((4,), "float32"),
    "age": Feature((1,), "float32"),
    "y": Feature((), "int64", num_classes=3),
    "one_hot": Feature((3,), "float32"),
    "user": Feature((1,), "int64"),
    "tokens": Feature((5,), "int32"),
    "tags": Feature((5,), "int64", num_classes=3),
    "weight": Feature((), "float32"),
    "alike": Feature((4,), "int32"),
}
CASES: dict[str, dict[str, Any]] = {}
KERNEL, BIAS = keras.initializers.GlorotUniform(seed=1), "zeros"


def data():
    rng = np.random.default_rng(0)
    rows = BATCH * STEPS
    y = rng.integers(0, 3, rows)
    tokens = rng.integers(1, 1000, (rows, 5)).astype(np.int32)
    tokens[np.arange(5) >= rng.integers(1, 6, (rows, 1))] = 0
    return {
        "x": (rng.normal(size=(rows, 4)) + y[:, None]).astype(np.float32),
        "age": rng.normal(size=(rows, 1)).astype(np.float32),
        "y": y,
        "one_hot": np.eye(3, dtype=np.float32)[y],
        "user": (LARGE + np.arange(rows)).reshape(rows, 1),
        "tokens": tokens,
        "tags": rng.integers(0, 3, (rows, 5)),
        "weight": rng.integers(0, 4, rows).astype(np.float32) / 2,
        "alike": rng.integers(0, 3, (rows, 4)).astype(np.int32),
    }


def case(name, **given):
    CASES[name] = given


def here(part, /, **args):
    return PartConfig(f"tests.parts.users:{part}", args)


def classes(part, /, **args):
    return PartConfig(f"keras.metrics:{part}", args)


# Models.


def dense(units=3, **args):
    return keras.layers.Dense(units, kernel_initializer=KERNEL, **args)


def linear(input_shape, num_outputs, activation=None):
    inputs = keras.Input(tuple(input_shape))
    return keras.Model(inputs, dense(num_outputs, activation=activation)(inputs))


class TwoInputs(keras.Model):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.out = kind, dense()

    def call(self, inputs):
        x, age = (inputs["x"], inputs["age"]) if self.kind == "dict" else inputs
        return self.out(tf.concat([x, age], 1))


def two_inputs(shapes, num_outputs, kind="dict"):
    return TwoInputs(kind)


def two_inputs_functional(shapes, num_outputs, kind="dict"):
    x, age = keras.Input((4,), name="x"), keras.Input((1,), name="age")
    inputs = {"x": x, "age": age} if kind == "dict" else [x, age]
    return keras.Model(inputs, dense()(keras.layers.Concatenate()([x, age])))


class TwoOutputs(keras.Model):
    def __init__(self):
        super().__init__()
        self.box, self.kind = dense(1), dense(3)

    def call(self, x):
        return {"box": self.box(x), "kind": self.kind(x)}


def two_outputs(input_shape, num_outputs):
    assert num_outputs in (3, {"box": 1, "kind": 3})
    return TwoOutputs()


def add_up(labels, outputs):
    box = tf.reduce_mean(tf.square(labels["box"] - outputs["box"]), -1)
    kinds = tf.cast(labels["kind"], tf.int32)
    return box + tf.nn.sparse_softmax_cross_entropy_with_logits(kinds, outputs["kind"])


class Users(keras.Model):
    """Looks up whole numbers that a float32 cannot tell apart."""

    def __init__(self):
        super().__init__()
        known = (LARGE + np.arange(BATCH * STEPS)).tolist()
        self.look = keras.layers.IntegerLookup(vocabulary=known)
        self.rows = keras.layers.Embedding(len(known) + 2, 3, embeddings_initializer="zeros")

    def call(self, user):
        return self.rows(self.look(user))[:, 0]


def users(input_shape, num_outputs):
    return Users()


def embedding(**args):
    return keras.layers.Embedding(1024, 3, embeddings_initializer="zeros", **args)


class Tokens(keras.Model):
    def __init__(self):
        super().__init__()
        self.rows = embedding()

    def call(self, tokens):
        return tf.reduce_mean(self.rows(tokens), 1)


def tokens(input_shape, num_outputs):
    return Tokens()


def stacked_tokens(input_shape, num_outputs):
    return keras.Sequential([embedding(), keras.layers.GlobalAveragePooling1D()])


def float_tokens(input_shape, num_outputs):
    inputs = keras.Input((5,))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(embedding()(inputs)))


def tagger(input_shape, num_outputs, mask=True):
    inputs = keras.Input((5,), dtype="int32")
    rows = keras.layers.Embedding(
        1024, 4, embeddings_initializer=keras.initializers.RandomNormal(seed=2), mask_zero=mask
    )
    return keras.Model(inputs, dense()(rows(inputs)))


def stacked(input_shape, num_outputs):
    return keras.Sequential([dense(num_outputs)])


class Broken(keras.Model):
    def call(self, x):
        return tf.matmul(x, tf.ones([7, 3]))


def broken(input_shape, num_outputs):
    return Broken()


def frozen(input_shape, num_outputs):
    model = linear(input_shape, num_outputs)
    model.trainable = False
    return model


def half(input_shape, num_outputs, how):
    if how == "policy":
        keras.config.set_dtype_policy("mixed_float16")
    if how == "floatx":
        keras.config.set_floatx("float16")
    inputs = keras.Input(tuple(input_shape), dtype="float32")
    return keras.Model(inputs, dense(dtype="mixed_float16" if how == "layer" else None)(inputs))


class Term(keras.layers.Layer):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def call(self, x):
        each = tf.reduce_sum(0.5 * tf.square(x), -1)
        self.add_loss(0.1 * (tf.reduce_sum(each) if self.kind == "sum" else tf.reduce_mean(each)))
        return x


def with_term(input_shape, num_outputs, kind):
    inputs = keras.Input(tuple(input_shape))
    x = dense(4, activity_regularizer=keras.regularizers.L2(0.02))(inputs)
    return keras.Model(inputs, dense(3)(Term(kind)(x)))


# Losses.


def lost(labels, predictions):
    """Returns a loss that does not know how many examples it has, as after a lookup of strings."""
    labels = tf.cast(labels, tf.int32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, predictions)
    return tf.boolean_mask(losses, losses > -1)


def two_losses(labels, predictions):
    return lost(labels, predictions), lost(labels, predictions)


# Metrics.


class Lazy(keras.metrics.Metric):
    """Makes its state at the first update; its result is a dictionary."""

    def __init__(self, name="lazy"):
        super().__init__(name=name)

    def update_state(self, labels, predictions, sample_weight=None):
        del labels
        if not self.variables:
            self.sums = self.add_variable((predictions.shape[-1],), "zeros", name="sums")
        self.sums.assign(self.sums + tf.linalg.matvec(predictions, sample_weight, transpose_a=True))

    def result(self):
        sums = tf.convert_to_tensor(self.sums)
        return {"first": sums[0], "all": tf.reduce_sum(sums)}


class Highest(keras.metrics.Metric):
    def __init__(self, kind, name="highest"):
        super().__init__(name=name)
        self.kind = kind
        self.most = self.add_variable((), "ones" if kind == "start" else "zeros", name="most")

    def update_state(self, labels, predictions, sample_weight=None):
        del labels
        values = {
            "max": lambda: tf.maximum(self.most, tf.reduce_max(predictions)),
            "last": lambda: tf.reduce_mean(predictions),
            "means": lambda: self.most + tf.reduce_mean(predictions),
            "start": lambda: self.most + tf.reduce_sum(sample_weight),
            "padding": lambda: self.most + tf.reduce_sum(predictions),
            "bug": lambda: self.most + tf.matmul(predictions, predictions),
        }
        self.most.assign(values[self.kind]())

    def result(self):
        return self.most.value


# Tasks.


class ClassWeights(Supervised):
    def example_weights(self, microbatch):
        return microbatch.weights * tf.gather([0.5, 1.0, 3.0], microbatch[self.label])


class Replaces(Supervised):
    def _losses(self, microbatch, *, training):
        other = dataclasses.replace(microbatch, weights=microbatch.weights * microbatch["weight"])
        return super()._losses(other, training=training)


class MakesAnew(Supervised):
    def _losses(self, microbatch, *, training):
        weights = microbatch.weights * microbatch["weight"]
        other = Microbatch(microbatch.batch, weights, microbatch.step, microbatch.key)
        return super()._losses(other, training=training)


class OtherBatch(Supervised):
    """Replaces examples, and no weights."""

    def _losses(self, microbatch, *, training):
        other = {**microbatch.batch, "x": microbatch["x"]}
        return super()._losses(dataclasses.replace(microbatch, batch=other), training=training)


class Counted(Supervised):
    """Says itself what each loss counts."""

    def _losses(self, microbatch, *, training):
        losses = super()._losses(microbatch, training=training)
        return WeightedLosses(losses, microbatch["weight"])


class Shapes(Supervised):
    """Says shapes, as tasks did before features could be returned."""

    @classmethod
    def model_shapes(cls, features, **names):
        found = super().model_shapes(features, **names)["main"][0]
        return {"main": (tf.nest.map_structure(lambda f: f.shape, found), 3)}


class ByItself(Supervised):
    def train_step(self, replica):
        weights = self.model.trainable_variables
        grads = replica.gradient(lambda m: self._losses(m, training=True), weights)
        self.optimizer.apply_gradients(zip(grads, weights, strict=True))


class NoShapes(Task):
    pass


class NoStep(Task):
    @classmethod
    def model_shapes(cls, features):
        return {"main": (features["x"], 3)}


class NoEvaluation(NoStep):
    def train_step(self, replica):
        weights = self.models["main"].trainable_variables
        grads = replica.gradient(lambda m: lost(m["y"], self.models["main"](m["x"])), weights)
        replica.apply(self.optimizers["main"], grads, weights)


case(
    "metrics of probabilities",
    model=here("linear", activation="softmax"),
    loss=PartConfig("keras.losses:CategoricalCrossentropy"),
    label="one_hot",
    metrics=(
        classes("F1Score", name="f1"),
        classes("F1Score", name="macro", average="macro"),
        classes("FBetaScore", name="fbeta", beta=2.0, average="weighted"),
        classes("AUC", name="auc", multi_label=True),
        classes("Precision", name="precision", thresholds=[0.3, 0.7]),
        classes("R2Score", name="r2"),
        here("Lazy"),
    ),
)
case("iou", metrics=(classes("MeanIoU", num_classes=3, sparse_y_pred=False),))
case(
    "weighted iou",
    weight="weight",
    metrics=(classes("MeanIoU", num_classes=3, sparse_y_pred=False, dtype="float32"),),
)
case(
    "iou of halves",
    weight="weight",
    metrics=(classes("MeanIoU", num_classes=3, sparse_y_pred=False),),
)
for kind in ("max", "last", "means", "start", "padding", "bug"):
    case(f"metric: {kind}", metrics=(here("Highest", kind=kind),))
case("metric: other shape", metrics=(classes("R2Score"),))

for kind, names in (("dict", {"x": "x", "age": "age"}), ("list", ["x", "age"])):
    for model in ("two_inputs", "two_inputs_functional"):
        case(f"{model} {kind}", model=here(model, kind=kind), input=names)
case(
    "two inputs as shapes", model=here("two_inputs"), task="Shapes", input={"x": "x", "age": "age"}
)
case("two inputs, one given", model=here("two_inputs_functional"), input="x")
case(
    "two inputs, another name", model=here("two_inputs_functional"), input={"x": "x", "old": "age"}
)
case(
    "two outputs",
    model=here("two_outputs"),
    loss=here("add_up"),
    label={"box": "age", "kind": "y"},
)
case("two outputs, one loss", model=here("two_outputs"))
case("large numbers", model=here("users"), input="user")
case("tokens", model=here("tokens"), input="tokens", precision="bfloat16")
case("stacked tokens", model=here("stacked_tokens"), input="tokens", precision="bfloat16")
case("tokens as floats", model=here("float_tokens"), input="tokens", precision="bfloat16")
case("a shape of two features", model=here("broken"), task="Shapes", input="x")
case("broken", model=here("broken"))
case("stacked", model=here("stacked"))
case("frozen", model=here("frozen"))
for how in ("policy", "layer", "floatx"):
    case(f"float16 by {how}", model=here("half", how=how))

SPARSE = "keras.losses:SparseCategoricalCrossentropy"
case("ignored class", loss=PartConfig(SPARSE, {"from_logits": True, "ignore_class": 1}))
case(
    "ignored class of a function",
    loss=PartConfig("sparse_categorical_crossentropy", {"ignore_class": 1}),
)
case(
    "mask",
    model=here("tagger"),
    input="tokens",
    label="tags",
    loss=PartConfig(SPARSE, {"from_logits": True}),
)
case("mask of a function", model=here("tagger"), input="tokens", label="tags")
case(
    "no mask",
    model=here("tagger", mask=False),
    input="tokens",
    label="tags",
    loss=PartConfig(SPARSE, {"from_logits": True}),
)
case("weights", weight="weight")
case("class weights", task="ClassWeights")
case("counted", task="Counted")
case("weights of another shape", weight="x")
case("no such weights", weight="wieght")
case("replaced weights", task="Replaces")
case("weights made anew", task="MakesAnew")
case("other examples", task="OtherBatch")
case("lost number of examples", loss=here("lost"))
case("two losses", loss=here("two_losses"))
case("sum of losses", loss=PartConfig(SPARSE, {"from_logits": True, "reduction": "sum"}))
case("mean term", model=here("with_term", kind="mean"))
case("sum term", model=here("with_term", kind="sum"))
case("applies by itself", task="ByItself")
case("no shapes", task="NoShapes", plain=True)
case("no step", task="NoStep", plain=True)
case("no evaluation", task="NoEvaluation", plain=True)


def config_of(name):
    given = dict(CASES[name])
    args = (
        {}
        if given.get("plain")
        else {"input": given.get("input", "x"), "label": given.get("label", "y")}
    )
    if "weight" in given:
        args["weight"] = given["weight"]
    task = given.get("task")
    return TrainConfig(
        train_steps=STEPS,
        global_batch_size=BATCH,
        virtual_replicas=V,
        precision=given.get("precision", "float32"),
        dataset=DatasetConfig(eval_split="" if name == "no evaluation" else "test"),
        task=here(task, **args) if task else PartConfig("supervised", args),
        model=given.get("model", here("linear")),
        loss=given.get("loss", PartConfig("sparse_categorical_crossentropy")),
        metrics=given.get("metrics", ()),
        optimizer=OptimizerConfig("sgd", learning_rate=0.5),
    )


def outcome(name, distribution):
    config = config_of(name)
    keras.backend.clear_session()
    keras.config.set_floatx("float32")
    with distribution.scope():
        scale = keras.Variable(1.0, trainable=False)
        task = build.build_task(config, FEATURES, total_steps=STEPS, rate_scale=scale)
    plan, state = build.step_plan(config), [*task.readable(), scale]
    train = loop(audited(make_train_step(task, plan), state), task, distribution, BATCH * STEPS)
    trained = results(add(None, train(0, STEPS)), task.metrics, STEPS)
    evaluated = {}
    if config.dataset.eval_split:
        evaluate = loop(audited(make_eval_step(task, plan), state), task, distribution, EVALUATED)
        evaluated = results(add(None, evaluate(0, STEPS)), task.metrics, STEPS)
    weights = [v.numpy().tolist() for v in task.models["main"].weights]
    return {"weights": weights, "train": trained, "eval": evaluated}


def loop(step_fn, task, distribution, count):
    order = SequentialOrder(Split("unused", (Shard("unused", count),), 0, count))
    batches = Batches(order, BATCH, BATCH // V, range(BATCH))
    arrays = {name: values[:count] for name, values in data().items()}
    return InnerLoop(
        distribution,
        step_fn,
        ResidentPipeline(distribution, arrays, batches, STEPS),
        lambda batch, _: batch,
        microbatches_per_replica=V // distribution.num_replicas_in_sync,
        zero=zero_sums(task, training=count == BATCH * STEPS),
        compiled=False,
    )


def main(replicas, names):
    strategy.configure_runtime(1, compiled=False)
    distribution = strategy.create(Placement("cpu", replicas))
    outcomes = {}
    for name in names:
        try:
            outcomes[name] = outcome(name, distribution)
        except RunError as error:
            outcomes[name] = f"{error.code.value}: {error.reason}"
    print(json.dumps(outcomes))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(int(sys.argv[1]), sys.argv[2:] or list(CASES))
