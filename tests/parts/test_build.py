"""What a config names is built, or refused by its field before anything is traced."""

import dataclasses
import re

import keras
import pytest

from trainer import build, config_file, config_values
from trainer.data.info import Feature
from trainer.exit_codes import ExitCode, RunError

FEATURES = {"image": Feature((8, 8, 1), "float32"), "label": Feature((), "int64", 10)}


def built(name="digits", *settings, features=FEATURES, **changes):
    """Build the task of an experiment with other settings."""
    config = dataclasses.replace(config_file.load(name), **changes)
    config = config_values.override(config, settings)
    scale = keras.Variable(1.0, trainable=False)
    return build.build_task(config, features, total_steps=10, rate_scale=scale)


@pytest.mark.parametrize(
    ("name", "field", "value", "allowed"),
    [
        ("digits", "model.args.dropuot", "0.1", "dropout"),
        ("digits", "optimizer.args.beta1", "0.9", "beta_1"),
        ("digits", "optimizer.schedule.args.finalfraction", "0.1", "final_fraction"),
        ("digits", "optimizer.schedule.args.total_steps", "7", "final_fraction"),
        ("digits", "loss.args.gama", "1", "none"),
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
