"""What a config names is built, or refused by its field before anything is traced."""

import dataclasses
import math
import re

import keras
import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from trainer import build
from trainer.config import conversion, experiment_file
from trainer.data.info import Feature


class Subclass(keras.Model):
    """Written as Keras shows it: layers in the constructor, no `build`."""

    def __init__(self, input_shape, num_outputs):
        super().__init__()
        del input_shape
        self.flatten = keras.layers.Flatten()
        self.dropout = keras.layers.Dropout(0.1)
        self.dense = keras.layers.Dense(num_outputs)

    def call(self, x, training=False):
        return self.dense(self.dropout(self.flatten(x), training=training))


class Built(Subclass):
    """With a `build` of its own."""

    def build(self, input_shape):
        self.dense.build((None, math.prod(input_shape[1:])))
        self.built = True


def stacked(input_shape, num_outputs):
    del input_shape
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(num_outputs)])


FEATURES = {"image": Feature((8, 8, 1), "float32"), "label": Feature((), "int64", 10)}


def built(name="digits", *settings, features=FEATURES, **changes):
    """Build the task of an experiment with other settings."""
    config = dataclasses.replace(experiment_file.load(name), **changes)
    config = conversion.override(config, settings)
    scale = keras.Variable(1.0, trainable=False)
    return build.build_task(config, features, total_steps=10, rate_scale=scale)


@pytest.mark.parametrize(
    ("name", "field", "value", "allowed"),
    [
        ("digits", "model.args.dropuot", "0.1", "dropout"),
        ("digits", "optimizer.args.beta1", "0.9", "beta_1"),
        ("digits", "optimizer.schedule.args.finalfraction", "0.1", "final_fraction"),
        ("digits", "optimizer.schedule.args.total_steps", "7", "final_fraction"),
        ("digits", "loss.args.gama", "1", "ignore_class"),
        ("digits", "loss.args.from_logits", "false", "ignore_class"),
        ("digits", "metrics", '[{"name": "top_k", "args": {"kk": 3}}]', "k, name, dtype"),
        ("digits", "task.args.inputs", "image", "input, label"),
        ("digits_gan", "task.args.latnet", "3", "latent, real"),
        ("digits_sharpness_aware", "task.args.rh", "3", "rho, input, label"),
    ],
)
def test_a_misspelt_argument_is_refused_with_those_that_there_are(name, field, value, allowed):
    part = field.partition(".args")[0]
    settings = [("optimizer.schedule.name", "cosine"), ("optimizer.name", "adam"), (field, value)]
    with pytest.raises(RunError, match=rf"config\.{re.escape(part)}.*arguments: .*{allowed}") as e:
        built(name, *settings)
    assert e.value.code is ExitCode.BAD_CONFIG


@pytest.mark.parametrize("name", ["digits", "digits_gan", "digits_wgan_gp", "digits_distillation"])
def test_examples_without_the_feature_of_a_task_are_refused(name):
    features = {"picture": FEATURES["image"], "label": FEATURES["label"]}
    with pytest.raises(RunError, match=r"='image': the examples have no.*label, picture") as caught:
        built(name, features=features)
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_metrics_of_one_kind_are_told_apart_by_their_name():
    two = (
        '[{"name": "top_k", "args": {"k": 3}}, {"name": "top_k", "args": {"k": 5, "name": "in5"}}]'
    )
    metrics = built("digits", ("metrics", two)).metrics
    assert {name: metric._fn_kwargs["k"] for name, metric in metrics.items()} == {
        "top_k": 3,
        "in5": 5,
    }


@pytest.mark.parametrize(
    "metrics", ['["accuracy", "accuracy"]', '[{"name": "accuracy", "args": {"name": "loss"}}]']
)
def test_a_metric_that_would_hide_another_number_is_refused(metrics):
    with pytest.raises(RunError, match=r"config\.metrics\[\d\].*args.name") as caught:
        built("digits", ("metrics", metrics))
    assert caught.value.code is ExitCode.BAD_CONFIG


@pytest.mark.parametrize("own", ["Subclass", "Built", "stacked"])
def test_a_model_of_any_kind_has_its_weights_inputs_and_outputs(own):
    task = built("digits", ("model.name", f"{__name__}:{own}"), ("model.args", "{}"))
    model = task.models["main"]
    assert sorted(tuple(w.shape) for w in model.trainable_variables) == [(10,), (64, 10)]
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 10)
    assert model(np.zeros((3, 8, 8, 1), "float32"), training=True).shape == (3, 10)


def test_a_value_that_keras_refuses_is_one_line():
    with pytest.raises(RunError, match=r"config\.regularizer\.args=.*l1.*arguments: l1") as caught:
        built("digits", ("regularizer.name", "l1"), ("regularizer.args", '{"l1": -1}'))
    assert caught.value.code is ExitCode.BAD_CONFIG


@pytest.mark.parametrize("args", ["{}", '{"l1": 0}'])
def test_an_elastic_net_that_adds_nothing_is_refused(args):
    with pytest.raises(RunError, match=r"config\.regularizer\.args.*give l1, l2") as caught:
        built("digits", ("regularizer.name", "elastic_net"), ("regularizer.args", args))
    assert caught.value.code is ExitCode.BAD_CONFIG
