"""Two models, two optimizers, two phases in every step: a generative adversarial network."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature
from trainer.task import Microbatch, Parts, Replica, Task
from trainer.tasks.features import need


class Gan(Task):
    """The generator ("main") learns to draw what the discriminator takes for real.

    Source: Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, section 3 (the
    non-saturating loss), with the second model's phase on the already updated first one;
    one-sided label smoothing as in Salimans et al., Improved Techniques for Training GANs, 2016.

    Args:
        parts: models and optimizers with the roles "main" and "discriminator".
        latent: length of the noise vector.
        real: feature with the real images, in [0, 1].
        smoothing: the discriminator is asked to be only so much less than sure of a real image.
    """

    def __init__(
        self, parts: Parts, *, latent: int = 32, real: str = "image", smoothing: float = 0.0
    ) -> None:
        super().__init__(parts)
        if missing := {"main", "discriminator"} - parts.optimizers.keys():
            raise RunError(
                ExitCode.BAD_CONFIG, f"config.optimizers has no {missing.pop()!r}: a GAN needs two"
            )
        self.latent = latent
        self.real = real
        self.sure = 1.0 - smoothing
        self.generator = self.models["main"]
        self.discriminator = self.models["discriminator"]
        for name in ("discriminator_loss", "generator_loss", "fooled"):
            self.metrics[name] = keras.metrics.Mean(name=name)

    @classmethod
    def model_shapes(
        cls,
        features: Mapping[str, Feature],
        *,
        latent: int = 32,
        real: str = "image",
        smoothing: float = 0.0,
    ) -> dict[str, tuple[Any, int]]:
        """Noise to image, and image to one logit."""
        del smoothing
        need(features, real=real)
        image = features[real].shape
        return {"main": ((latent,), 1), "discriminator": (image, 1)}

    def train_step(self, replica: Replica) -> None:
        """Update the discriminator, then the generator against it."""
        weights = self.discriminator.trainable_variables
        grads = replica.gradient(self._discriminator_loss, weights)
        replica.apply(self.optimizers["discriminator"], grads, weights)

        weights = self.generator.trainable_variables
        grads = replica.gradient(self._generator_loss, weights)
        replica.apply(self.optimizers["main"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the discriminator's loss of each example, on real and drawn images."""
        self._generator_loss(microbatch, training=False)
        return self._discriminator_loss(microbatch, training=False)

    def _discriminator_loss(self, microbatch: Microbatch, training: bool = True) -> tf.Tensor:
        fake = self._draw(microbatch, training)
        real_logits = self.discriminator(microbatch[self.real], training=training)
        fake_logits = self.discriminator(fake, training=training)
        loss = _log_loss(real_logits, self.sure) + _log_loss(fake_logits, 0.0)
        self.metrics["discriminator_loss"].update_state(loss, microbatch.weights)
        return loss

    def _generator_loss(self, microbatch: Microbatch, training: bool = True) -> tf.Tensor:
        logits = self.discriminator(self._draw(microbatch, training), training=training)
        loss = _log_loss(logits, 1.0)
        self.metrics["generator_loss"].update_state(loss, microbatch.weights)
        self.metrics["fooled"].update_state(tf.reshape(logits, [-1]) > 0, microbatch.weights)
        return loss

    def images(self) -> dict[str, tf.Tensor]:
        """Return drawings, always from the same noise."""
        noise = tf.random.stateless_normal([64, self.latent], [0, 0], alg="philox")
        return {"samples": self.generator(noise, training=False)}

    def _draw(self, microbatch: Microbatch, training: bool) -> tf.Tensor:
        shape = [microbatch.weights.shape[0], self.latent]
        noise = tf.random.stateless_normal(shape, microbatch.seed(), alg="philox")
        return self.generator(noise, training=training)


def _log_loss(logits: tf.Tensor, target: float) -> tf.Tensor:
    """Return binary cross-entropy of logits [b, 1] against one target for all: float[b]."""
    labels = tf.fill(tf.shape(logits), target)
    return tf.reshape(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits), [-1])
