"""My experiment with a step of its own: two models, two optimizers, state, and a look at the run.

One model draws noise that the other one mistakes for something else; both learn from it.

python -m trainer --config=experiment.py --fast_dev_run
python -m trainer --config=experiment.py --workdir=runs/mine
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer import (
    EvaluationReport,
    Feature,
    Microbatch,
    ModelConfig,
    OptimizerConfig,
    PartConfig,
    Parts,
    Replica,
    Task,
    TrainConfig,
)


class Attacked(Task):
    """Classify images, also those that the attacker has changed.

    Args:
        parts: what the config names, built.
        strongest: largest change of a pixel, in [0, 1].
    """

    def __init__(self, parts: Parts, *, strongest: float = 0.2) -> None:
        super().__init__(parts)
        self.strongest = strongest
        # State: whatever is assigned to the task is saved, restored and digested.
        self.strength = keras.Variable(0.0, trainable=False, name="strength")

    @classmethod
    def model_shapes(
        cls, features: Mapping[str, Feature], *, strongest: float = 0.2
    ) -> dict[str, tuple[Any, Any]]:
        """Return role -> (what the model reads, how many outputs it has).

        Change: a role for each model; "main" is `config.model`, others are in `config.models`.
        """
        del strongest
        image, label = features["image"], features["label"]
        return {"main": (image, label.num_classes), "attacker": (image, image.shape[-1])}

    def train_step(self, replica: Replica) -> None:
        """Update the attacker, then the classifier.

        Change: any number of gradients and updates. What is assigned here is the same on any
        hardware, or left out as a whole where a number is not finite.
        """
        weights = self.models["attacker"].trainable_variables
        grads = replica.gradient(lambda m: -self._losses(m, training=True), weights)
        replica.apply(self.optimizers["attacker"], grads, weights)

        weights = self.models["main"].trainable_variables
        grads = replica.gradient(lambda m: self._losses(m, training=True), weights)
        replica.apply(self.optimizers["main"], grads, weights)
        self.strength.assign(tf.minimum(self.strongest, self.strength + 1e-3))

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the loss of each example, float[b], and update the metrics."""
        logits = self.models["main"](microbatch["image"], training=False)
        for metric in self.metrics.values():
            metric.update_state(microbatch["label"], logits, sample_weight=microbatch.weights)
        return self.loss(microbatch["label"], logits)

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Look at the run: plain Python, on one worker, after each evaluation.

        Change: write whatever helps you; it cannot change the run.
        """
        weights = report.weights()
        report.scalars({"strength": float(weights["task/strength"])})
        grey = tf.fill([1, *self.models["main"].input_shape[1:]], 0.5)
        report.images("attack on grey", self._attacked(grey, training=False).numpy())
        norms = [(path, float((array**2).sum() ** 0.5)) for path, array in weights.items()]
        report.table("norms", norms, ("variable", "norm"))

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        images = self._attacked(microbatch["image"], training=training)
        logits = self.models["main"](images, training=training)
        return self.loss(microbatch["label"], logits)

    def _attacked(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        change = self.models["attacker"](images, training=training)
        return tf.clip_by_value(images + self.strength * tf.tanh(change), 0.0, 1.0)


def build_attacker(
    input_shape: Sequence[int], num_outputs: int, *, filters: int = 8
) -> keras.Model:
    """Return the attacker, float32[B, H, W, C] -> a change of each pixel, of that shape."""
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(num_outputs, 3, padding="same")(x))


def get_config() -> TrainConfig:
    """Return the experiment. Change: anything; `--config.FIELD=VALUE` overrides it for one run."""
    return TrainConfig(
        epochs=10,
        global_batch_size=32,
        virtual_replicas=4,
        task=PartConfig(f"{__name__}:Attacked", {"strongest": 0.2}),
        model=ModelConfig("cnn"),
        models={"attacker": ModelConfig(f"{__name__}:build_attacker", {"filters": 8})},
        optimizer=OptimizerConfig("adam", learning_rate=1e-3),
        optimizers={"attacker": OptimizerConfig("sgd", learning_rate=0.1, clip_norm=1.0)},
    )
