"""The running average of the weights: what it is, and that it keeps every promise of a run."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.processes import SHORT, summary
from trainer.engine.forward_step import make_eval_step
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.optimizers.weight_average import WeightAverage
from trainer.task import Parts
from trainer.tasks.supervised import Supervised

AVERAGED = ("--config=digits", *SHORT, "--config.ema_decay=0.9")


def squared_error(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean((labels - outputs) ** 2, axis=-1)


def one_weight() -> Supervised:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0]], np.float32)])
    optimizer = keras.optimizers.SGD(0.1)
    build_slots(optimizer, model.trainable_variables)
    average = WeightAverage({"main": model}, decay=0.15)
    parts = Parts({"main": model}, {"main": optimizer}, {}, squared_error, None, average)
    return Supervised(parts, input="x", label="y")


def test_the_average_follows_its_formula_and_evaluation_uses_it() -> None:
    task, plan = one_weight(), StepPlan(0, 2, "exact", "graph", {})
    train, evaluate = make_train_step(task, plan), make_eval_step(task, plan)

    @tf.function(autograph=False)
    def run(step, x):
        ones = tf.ones([2, 1])
        microbatches = Microbatches(
            {"x": tf.fill([2, 1, 1], x), "y": ones * 0.0}, ones, tf.zeros_like(step), step
        )
        return train(microbatches), evaluate(microbatches)

    weight = average = 1.0
    for step, x in enumerate([1.0, 2.0, np.nan, 1.0]):
        _, sums = run(tf.constant(step, tf.int64), tf.constant(x, tf.float32))
        if np.isfinite(x):  # a step that is left out moves nothing
            weight -= 0.1 * 2 * weight * x**2
            decay = min(0.15, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * weight
    [kept] = [v for name, v in task.state().items() if name.startswith("average/main/000/")]
    assert float(kept.numpy()[0, 0]) == pytest.approx(average, rel=1e-6)
    assert float(sums["loss"]) == pytest.approx(2 * average**2, rel=1e-6)


def test_one_digest_on_two_replicas_and_after_a_restart(tmp_path: pathlib.Path) -> None:
    one = summary(tmp_path / "one", *AVERAGED, "--config.checkpoint_every_steps=5")
    two = summary(tmp_path / "two", *AVERAGED, "--cpu_replicas=2")
    assert two["state_digest"] == one["state_digest"]
    assert two["eval"] == one["eval"]
    for step in ("10", "12"):
        shutil.rmtree(tmp_path / "one" / "checkpoints" / f"step_0000000{step}")
    again = summary(tmp_path / "one", *AVERAGED, "--config.checkpoint_every_steps=5")
    assert again["state_digest"] == one["state_digest"]
    assert again["eval"] == one["eval"]


def test_the_average_changes_evaluation_and_nothing_of_training(tmp_path: pathlib.Path) -> None:
    plain = summary(tmp_path / "plain", *AVERAGED[:-1])
    averaged = summary(tmp_path / "averaged", *AVERAGED, "--config.eval_before_training=true")
    assert averaged["train"] == plain["train"]
    assert averaged["eval"] != plain["eval"]
    assert averaged["state_digest"] != plain["state_digest"]
    written = (tmp_path / "averaged" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["step"] for line in lines if "eval/loss" in line] == [0, 7, 12]
    assert lines[0]["eval/loss"] == pytest.approx(np.log(10), rel=0.2)
