"""A step whose data are not labels: Q-learning from logged transitions, and a pole that stands.

The examples are what somebody did once: 20,000 pushes of a cart at random. What is asked of the
model is made in the step, by a second model without an optimizer that follows it and is state of
the run. After an evaluation the policy plays, in plain Python. This is exact because the data are
logged: a simulator cannot be asked inside of a step (`tf.py_function` is refused).

Source: van Hasselt et al., Double Q-learning, AAAI 2016, equation 4; the cart-pole of Barto,
Sutton and Anderson, 1983.
Command: python -m trainer --config=examples/offline_q.py --workdir=runs/offline_q
Result: balanced >= 400; 500 after 3,000 steps
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import (
    DatasetConfig,
    EvaluationReport,
    Feature,
    Microbatch,
    ModelConfig,
    OptimizerConfig,
    PartConfig,
    Replica,
    Task,
    TrainConfig,
)

LONGEST, DISCOUNT, FOLLOW = 500, 0.98, 0.01  # pushes in a game; a push; of the second model


def pushed(state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Return float[N, 4], place, speed, angle and turn 0.02 s after a push to the left or right."""
    _, v, angle, turn = state.T
    force, sin, cos = 20.0 * action - 10.0, np.sin(angle), np.cos(angle)
    pull = (force + 0.05 * turn**2 * sin) / 1.1
    angular = (9.8 * sin - cos * pull) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    return state + 0.02 * np.stack([v, pull - 0.05 * angular * cos / 1.1, turn, angular], axis=1)


def is_over(state: np.ndarray) -> np.ndarray:
    """Return bool[N]: whether the cart is off its track, or the pole has fallen."""
    return (abs(state[:, 0]) > 2.4) | (abs(state[:, 2]) > 0.2095)


def transitions(carts: int = 64, pushes: int = 320, seed: int = 0) -> dict[str, Any]:
    """Return the log of carts that are pushed at random, from anywhere; a new one for a fallen."""
    random = np.random.default_rng(seed)
    spread = [2.0, 1.5, 0.15, 1.5]
    state, log = random.uniform(-1, 1, [carts, 4]) * spread, []
    for _ in range(pushes):
        action = random.integers(0, 2, carts)
        after = pushed(state, action)
        log.append((state, action, after, is_over(after)))
        new = random.uniform(-1, 1, [carts, 4]) * spread
        state = np.where(is_over(after)[:, np.newaxis], new, after)
    names = ("state", "action", "after", "over")
    kept = zip(names, zip(*log, strict=True), strict=True)
    return {"train": {n: np.concatenate(column).astype(np.float32) for n, column in kept}}


class OfflineQ(Task):
    """Learn what a push is worth: 1 for each one that leaves the pole up, discounted."""

    @classmethod
    def model_shapes(cls, features: Mapping[str, Feature]) -> dict[str, tuple[Any, int]]:
        """From a state to what each of the two pushes is worth; the target is a model like it."""
        return {"main": (features["state"], 2), "target": (features["state"], 2)}

    def train_step(self, replica: Replica) -> None:
        """Update the model; then let the target follow it a little."""
        weights = self.models["main"].trainable_variables
        replica.apply(self.optimizers["main"], replica.gradient(self.eval_step, weights), weights)
        for slow, fast in zip(self.models["target"].trainable_variables, weights, strict=True):
            slow.assign(slow + FOLLOW * (fast - slow))

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return Huber's loss of each transition, float[b]."""
        q, target = self.models["main"], self.models["target"]
        best = tf.argmax(q(microbatch["after"]), axis=-1)
        later = tf.gather(target(microbatch["after"]), best, batch_dims=1)
        asked = tf.stop_gradient((1.0 - microbatch["over"]) * (1.0 + DISCOUNT * later))
        found = tf.gather(
            q(microbatch["state"]), tf.cast(microbatch["action"], tf.int32), batch_dims=1
        )
        return keras.losses.huber(asked[:, tf.newaxis], found[:, tf.newaxis])

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Play 50 games side by side; "balanced" is how long the pole stood, in the mean."""
        state = np.random.default_rng(1).uniform(-0.05, 0.05, [50, 4])
        stood, playing = np.zeros(50), np.ones(50, bool)
        for _ in range(LONGEST):
            worth = self.models["main"](tf.constant(state, tf.float32)).numpy()
            state = pushed(state, worth.argmax(axis=-1))
            playing &= ~is_over(state)
            stood += playing
        report.scalars({"balanced": float(stood.mean())})


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        train_steps=3000,
        global_batch_size=64,
        virtual_replicas=4,
        eval_every_steps=1000,
        dataset=DatasetConfig(f"{__name__}:transitions", holdout=2048),
        task=PartConfig(f"{__name__}:OfflineQ"),
        model=ModelConfig("mlp", {"hidden": [64, 64]}),
        models={"target": ModelConfig("mlp", {"hidden": [64, 64]})},
        metrics=(),
        optimizer=OptimizerConfig("adam", 2e-3, clip_norm=10.0, schedule=PartConfig("cosine")),
    )
