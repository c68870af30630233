"""What a config names is what a run is made of, with its arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parts.test_build import FEATURES, built
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.info import Feature
from trainer.tasks.sharpness_aware import SharpnessAware


def test_the_model_has_the_layers_that_were_asked_for():
    task = built("digits", ("model.name", "mlp"), ("model.args", '{"hidden": [7, 5]}'))
    kernels = [w.shape for w in task.models["main"].trainable_variables if len(w.shape) == 2]
    assert kernels == [(64, 7), (7, 5), (5, 10)]


def test_a_further_model_has_its_arguments_and_its_optimizer():
    settings = [("optimizers.discriminator.learning_rate", "0.25")]
    task = built("digits_gan", *settings, ("models.discriminator.args", '{"dropout": 0.125}'))
    assert float(task.optimizers["discriminator"].learning_rate) == 0.25
    assert float(task.optimizers["main"].learning_rate) != 0.25
    rates = [layer.rate for layer in task.models["discriminator"].layers if hasattr(layer, "rate")]
    assert set(rates) == {0.125}


def test_the_loss_is_the_one_that_was_asked_for_with_its_arguments():
    features = {**FEATURES, "label": Feature((1,), "float32")}
    settings = [("loss.name", "huber"), ("loss.args", '{"delta": 0.5}'), ("metrics", "[]")]
    task = built("digits", *settings, features=features)
    # Beyond delta the loss is delta * (|error| - delta / 2).
    loss = task.loss(tf.zeros([1, 1]), tf.constant([[3.0]]))
    assert float(loss[0]) == pytest.approx(0.5 * (3.0 - 0.25))


def test_kernels_are_penalized_where_that_is_asked():
    task = built("digits", ("regularizer.name", "l2"), ("regularizer.args", '{"factor": 0.5}'))
    kernel = next(w for w in task.models["main"].trainable_variables if len(w.shape) > 1)
    expected = 0.5 * float(np.sum(kernel.numpy().astype(np.float64) ** 2))
    assert float(task.penalty([kernel])) == pytest.approx(expected, rel=1e-5)


def test_layers_compute_in_the_precision_that_was_asked_for():
    try:
        layers = built("digits", ("precision", "bfloat16")).models["main"].layers
    finally:
        keras.config.set_dtype_policy("float32")  # other tests run in this process
    first, *others = [layer for layer in layers if layer.weights]
    assert first.compute_dtype == "bfloat16"
    assert {layer.variable_dtype for layer in (first, *others)} == {"float32"}


def test_a_model_is_computed_again_on_the_way_back_where_that_is_asked():
    cut, plain = (built("digits", ("model.remat", on)).models["main"] for on in ("true", "false"))
    assert "_run_through_graph" in vars(cut)
    assert "_run_through_graph" not in vars(plain)


def test_the_task_is_the_one_that_was_asked_for_with_its_arguments():
    task = built("digits", ("task.name", "sharpness_aware"), ("task.args", '{"rho": 0.125}'))
    assert isinstance(task, SharpnessAware)
    assert 0.125 in vars(task).values()


def test_an_optimizer_is_the_one_that_was_asked_for():
    made = built("digits", ("optimizer.name", "sgd"), ("optimizer.args", '{"momentum": 0.75}'))
    assert made.optimizers["main"].momentum == 0.75


def test_what_is_evaluated_is_the_split_that_was_asked_for():
    info = sources.describe(DatasetConfig(eval_split="test[:50]"))
    assert info.evaluation.num_examples == 50
    assert sources.describe(DatasetConfig(eval_split="")).evaluation is None
