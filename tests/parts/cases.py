"""Trains the parts of `tests.parts.users`; prints {case: what became of it} as JSON.

A process of its own: `python -m tests.parts.cases REPLICAS`. What is printed of a case are its
weights after two steps, its training and evaluation numbers, or the line by which it is refused.
"""

import json
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.exit_codes import RunError
from tests.engine.resident_loop import resident_loop
from tests.parts.users import BATCH, LARGE, STEPS
from trainer import OptimizerConfig, PartConfig, TrainConfig, build
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.config import DatasetConfig
from trainer.data.info import Feature
from trainer.engine.audit import audited
from trainer.engine.forward_step import make_eval_step
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import add, zero_sums
from trainer.run.evaluation import results

V, EVALUATED = 4, 13
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
case("no shapes returned", task="ReturnsNoShapes", plain=True)
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
    sizes, evaluated = {"batch": BATCH, "virtual_replicas": V}, {}
    step, zero = audited(make_train_step(task, plan), state), zero_sums(task, training=True)
    train = resident_loop(distribution, step, data(), zero, **sizes)
    trained = results(add(None, train(0, STEPS)), task.metrics, STEPS)
    if config.dataset.eval_split:
        step, zero = audited(make_eval_step(task, plan), state), zero_sums(task, training=False)
        some = {name: values[:EVALUATED] for name, values in data().items()}
        evaluate = resident_loop(distribution, step, some, zero, **sizes)
        evaluated = results(add(None, evaluate(0, STEPS)), task.metrics, STEPS)
    weights = [v.numpy().tolist() for v in task.models["main"].weights]
    return {"weights": weights, "train": trained, "eval": evaluated}


def main(replicas, names):
    strategy.configure_runtime(TrainConfig(epochs=1))
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
