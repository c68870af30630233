"""Parts as users write them: the values of Keras and NumPy on any replicas, or one line."""

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parts import cases, users
from tests.processes import ROOT

DATA = cases.data()
REFUSED = {
    "iou of halves": r"MeanIoU.*half the weight.*dtype='float32'",
    "metric: max": "Highest.*does not add up",
    "metric: last": "Highest.*does not add up",
    "metric: means": "Highest.*does not add up",
    "metric: start": "highest/most does not start at zero",
    "metric: padding": "Highest.*sample_weight is 0",
    "metric: bug": r"Highest.*users.py:\d+: update_state\(int64\[2\], float32\[2, 3\].* failed",
    "metric: other shape": r"R2Score.*update_state\(int64\[2\], .*failed: ValueError.*2D inputs",
    "two inputs, one given": "args.input='x': the model reads a dictionary of age, x",
    "two inputs, another name": "'old'.*the model reads a dictionary of age, x",
    "two outputs, one loss": "gives a dictionary of box, kind; write a function",
    "tokens as floats": r"rounds.*Embedding; write keras.Input\(input_shape, dtype='int32'\)",
    "a shape of two features": r"\[4\] is not known: x, alike .*features\['NAME'\]",
    "broken": r"users.py:\d+: config.model: the model cannot be called with float32\[4\]",
    "frozen": "none of the variables.*a frozen model",
    "float16 by policy": r"set_dtype_policy\('mixed_float16'\).*precision='float16' .*'bfloat16'",
    "float16 by layer": "layer 'dense' computes in float16.*precision='float16' .*'bfloat16'",
    "float16 by floatx": r"set_floatx\('float16'\).*precision='float16' .*'bfloat16'",
    "weights of another shape": r"weight='x' has shape \[4\].*one number for each example",
    "no such weights": "args.weight='wieght'.*allowed: .*weight",
    "replaced weights": r"example_weights\(self, microbatch\).*task.args.weight",
    "weights made anew": r"example_weights\(self, microbatch\).*task.args.weight",
    "two losses": "returned tuple of 2.*the sum of the losses",
    "sum of losses": "reduction='sum'.*the mean over its examples",
    "sum term": r"users.py:\d+: add_loss is given a sum over the examples.*tf.reduce_mean",
    "applies by itself": r"users.py:\d+: .*write replica.apply",
    "no shapes": "NoShapes lacks a method: write model_shapes",
    "no shapes returned": r"users.py:\d+: ReturnsNoShapes.model_shapes returned None; return role",
    "no step": "NoStep lacks a method: write train_step",
}
ON_TWO = (
    "metrics of probabilities", "weighted iou", "two_inputs dict", "two_inputs_functional list",
    "large numbers", "tokens", "ignored class", "mask", "weights", "counted", "mean term",
    "metric: max", "metric: bug", "sum term", "replaced weights", "applies by itself",
)  # fmt: skip


def outcomes(replicas, *names):
    command = [sys.executable, "-m", "tests.parts.cases", str(replicas), *names]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found():
    return outcomes(1)


def test_every_case_has_a_verdict(found):
    assert {name for name, outcome in found.items() if isinstance(outcome, str)} == set(REFUSED)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_would_be_wrong_is_refused_by_name(found, name):
    assert found[name].startswith("78: ")
    assert re.search(REFUSED[name], found[name]), found[name]


def test_two_replicas_make_the_same_of_it(found):
    assert outcomes(2, *ON_TWO) == {name: found[name] for name in ON_TWO}


# Weights after two steps, against a plain loop of Keras.


def mean(losses, _):
    return tf.reduce_mean(losses)


def cross_entropy(labels, predictions):
    labels = tf.cast(labels, tf.int32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, predictions)


def weighted(weights):
    def loss(batch, predictions, _):
        w = weights(batch)
        return tf.reduce_sum(w * cross_entropy(batch["y"], predictions)) / tf.reduce_sum(w)

    return loss


def plain(batch, predictions, _):
    return tf.reduce_mean(cross_entropy(batch["y"], predictions))


def of_keras(label, **args):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, **args)
    return lambda batch, predictions, _: loss(batch[label], predictions)


def of_tensorflow(batch, predictions, _):
    return tf.reduce_mean(cross_entropy(batch["tags"], predictions))


def both_outputs(batch, outputs, _):
    labels = {"box": batch["age"], "kind": batch["y"]}
    return tf.reduce_mean(users.add_up(labels, outputs))


BY_FEATURE = weighted(lambda batch: batch["weight"])
BY_CLASS = weighted(lambda batch: tf.gather([0.5, 1.0, 3.0], batch["y"]))
EXPECTED = {
    "stacked": plain,
    "lost number of examples": plain,
    "no evaluation": plain,
    "other examples": plain,
    "large numbers": plain,
    "two_inputs dict": plain,
    "two_inputs list": plain,
    "two_inputs_functional dict": plain,
    "two_inputs_functional list": plain,
    "two inputs as shapes": plain,
    "two outputs": both_outputs,
    "ignored class": of_keras("y", ignore_class=1),
    "ignored class of a function": of_keras("y", ignore_class=1),
    "mask": of_keras("tags"),
    "mask of a function": of_keras("tags"),
    "no mask": of_tensorflow,
    "weights": BY_FEATURE,
    "weighted iou": BY_FEATURE,
    "counted": BY_FEATURE,
    "class weights": BY_CLASS,
    "mean term": lambda batch, p, model: plain(batch, p, None) + tf.add_n(model.losses),
}


def trained_by_keras(name):
    config = cases.config_of(name)
    make = getattr(users, config.model.name.partition(":")[2])
    model = make((5,) if "tokens" in config.task.args.values() else (4,), 3, **config.model.args)
    names = config.task.args.get("input", "x")
    optimizer = keras.optimizers.SGD(0.5)
    for step in range(users.STEPS):
        rows = slice(step * users.BATCH, (step + 1) * users.BATCH)
        batch = {feature: tf.constant(values[rows]) for feature, values in DATA.items()}
        with tf.GradientTape() as tape:
            outputs = model(tf.nest.map_structure(batch.__getitem__, names), training=True)
            loss = EXPECTED[name](batch, outputs, model)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    return [v.numpy() for v in model.weights]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_two_steps_are_those_of_keras(found, name):
    expected = trained_by_keras(name)
    assert len(found[name]["weights"]) == len(expected)
    for value, kerass in zip(found[name]["weights"], expected, strict=True):
        np.testing.assert_allclose(value, kerass, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["tokens", "stacked tokens"])
def test_the_rows_of_an_embedding_that_are_trained_are_those_that_are_named(found, name):
    (rows,) = found[name]["weights"]
    assert set(np.flatnonzero(np.any(rows, axis=1))) == set(DATA["tokens"].ravel())


# Metrics over the real examples: 13, in batches of 8.


def predictions(outcome):
    kernel, bias = map(np.asarray, outcome["weights"])
    return (DATA["x"][: cases.EVALUATED] @ kernel + bias).astype(np.float32)


def made_by_keras(name, index, labels, outputs, **given):
    part = cases.CASES[name]["metrics"][index]
    metric = getattr(keras.metrics, part.name.partition(":")[2])(**part.args)
    metric.update_state(labels[: cases.EVALUATED], outputs, **given)
    return np.asarray(metric.result())


def by_class(values, name):
    return [values[f"{name}/{index}"] for index in range(3)]


def test_metrics_have_the_value_of_keras_over_the_real_examples(found):
    name = "metrics of probabilities"
    values = found[name]["eval"]
    probabilities = np.asarray(tf.nn.softmax(predictions(found[name])))
    for index, (metric, is_vector) in enumerate(
        [("f1", 3), ("macro", 0), ("fbeta", 0), ("auc", 0), ("precision", 2), ("r2", 0)]
    ):
        expected = made_by_keras(name, index, DATA["one_hot"], probabilities)
        seen = [values[f"{metric}/{i}"] for i in range(is_vector)] or values[metric]
        np.testing.assert_allclose(seen, expected, rtol=1e-4, err_msg=metric)
    assert values["Lazy/all"] == pytest.approx(cases.EVALUATED, rel=1e-5)
    assert values["Lazy/first"] == pytest.approx(probabilities[:, 0].sum(), rel=1e-4)


def test_f1_has_the_value_of_numpy_over_the_real_examples(found):
    name = "metrics of probabilities"
    probabilities = np.asarray(tf.nn.softmax(predictions(found[name])))
    chosen = probabilities == probabilities.max(-1, keepdims=True)
    truth = DATA["one_hot"][: cases.EVALUATED] > 0
    hits = (chosen & truth).sum(0)
    f1 = 2 * hits / np.maximum(1, chosen.sum(0) + truth.sum(0))
    np.testing.assert_allclose(by_class(found[name]["eval"], "f1"), f1, rtol=1e-4)
    assert found[name]["eval"]["macro"] == pytest.approx(f1.mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["iou", "weighted iou"])
def test_mean_iou_counts_weights(found, name):
    weights = DATA["weight"][: cases.EVALUATED] if "weighted" in name else None
    expected = made_by_keras(
        name, 0, DATA["y"], predictions(found[name]), sample_weight=weights
    )  # fmt: skip
    assert found[name]["eval"]["MeanIoU"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", ["weights", "counted", "ignored class"])
def test_the_loss_of_an_evaluation_has_the_same_divisor(found, name):
    batch = {feature: tf.constant(v[: cases.EVALUATED]) for feature, v in DATA.items()}
    expected = EXPECTED[name](batch, tf.constant(predictions(found[name])), None)
    assert found[name]["eval"]["loss"] == pytest.approx(float(expected), rel=1e-4)
