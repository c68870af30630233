"""A variational autoencoder: two models, one loss, and drawings from the prior.

The encoder says where in a small space an image may lie; the decoder draws it from a point there.
The loss is minus the evidence lower bound, in nats an image: what the pixels cost, and the point.
Noise comes from `keras.random`: other numbers in each microbatch and step, the same everywhere.

Source: Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014, appendix B.
Command: python -m trainer --config=examples/vae.py --workdir=runs/vae
Result: loss <= 25.6; 25.15 after 1,408 steps
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


class Vae(Task):
    """Minimize what it costs to describe an image by a point, and then by its pixels.

    Args:
        parts: models and optimizers with the roles "main", the decoder, and "encoder".
        latent: numbers of a point.
    """

    def __init__(self, parts: Parts, *, latent: int = 8) -> None:
        super().__init__(parts)
        self.latent = latent
        self.encoder, self.decoder = self.models["encoder"], self.models["main"]
        self.pixels = keras.metrics.Mean(name="pixels")  # the two terms of the loss, nats
        self.points = keras.metrics.Mean(name="points")

    @classmethod
    def model_shapes(
        cls, features: Mapping[str, Feature], *, latent: int = 8
    ) -> dict[str, tuple[Any, int]]:
        """A point to an image; an image to mean and log variance of each number of a point."""
        return {"main": ((latent,), 1), "encoder": (features["image"], 2 * latent)}

    def train_step(self, replica: Replica) -> None:
        """Take one gradient by the weights of both models, and update each."""
        decoder, encoder = self.decoder.trainable_variables, self.encoder.trainable_variables
        grads = replica.gradient(lambda m: self._losses(m, training=True), [*decoder, *encoder])
        replica.apply(self.optimizers["main"], grads[: len(decoder)], decoder)
        replica.apply(self.optimizers["encoder"], grads[len(decoder) :], encoder)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return minus the evidence lower bound of each image, float[b], in nats."""
        return self._losses(microbatch, training=False)

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Draw 64 images from the prior, always at the same points."""
        points = tf.random.stateless_normal([64, self.latent], [0, 0], alg="philox")
        drawn = tf.sigmoid(self.decoder(points, training=False))
        report.images("drawn", drawn.numpy())

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        images = microbatch["image"]
        mean, log_variance = tf.split(self.encoder(images, training=training), 2, axis=-1)
        points = mean + tf.exp(log_variance / 2) * keras.random.normal(mean.shape)
        logits = self.decoder(points, training=training)
        bits = tf.nn.sigmoid_cross_entropy_with_logits(images, logits)
        pixels = tf.reduce_sum(bits, axis=[1, 2, 3])
        # How far the encoder's normal distribution is from the prior, N(0, 1): equation 10.
        apart = tf.square(mean) + tf.exp(log_variance) - log_variance - 1
        distance = tf.reduce_sum(apart, axis=-1) / 2
        self.pixels.update_state(pixels, microbatch.weights)
        self.points.update_state(distance, microbatch.weights)
        return pixels + distance


def decoder(input_shape: Sequence[int], num_outputs: int) -> keras.Model:
    """Return a model from points float32[B, n] to logits of pixels float32[B, 8, 8, C]."""
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Dense(128, activation="relu")(inputs)
    x = keras.layers.Dense(128, activation="relu")(x)
    x = keras.layers.Dense(8 * 8 * num_outputs)(x)
    return keras.Model(inputs, keras.layers.Reshape((8, 8, num_outputs))(x))


def get_config() -> TrainConfig:
    """Return the experiment."""
    adam = OptimizerConfig("adam", learning_rate=2e-3, schedule=PartConfig("cosine"))
    return TrainConfig(
        epochs=60,
        global_batch_size=64,
        virtual_replicas=4,
        eval_every_steps=470,
        task=PartConfig(f"{__name__}:Vae", {"latent": 8}),
        model=ModelConfig(f"{__name__}:decoder"),
        models={"encoder": ModelConfig("mlp", {"hidden": [128, 128]})},
        metrics=(),
        optimizer=adam,
        optimizers={"encoder": adam},
    )
