"""Alternating phases and a gradient of a gradient: a Wasserstein GAN with gradient penalty."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature
from trainer.task import Microbatch, Parts, Replica, Task
from trainer.tasks.features import need


class WassersteinGan(Task):
    """The critic rates images, several updates for each one of the generator ("main").

    Formula: critic: D(fake) - D(real) + penalty * (|dD/dx at x'| - 1)^2, with x' anywhere on the
    line between a real and a drawn image; generator: -D(fake).

    Args:
        parts: models and optimizers with the roles "main" and "discriminator".
        latent: length of the noise vector.
        critic_updates: of the critic in every step.
        penalty: weight of the gradient penalty.
        real: feature with the real images, in [0, 1].

    Source: Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017, algorithm 1.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        latent: int = 32,
        critic_updates: int = 3,
        penalty: float = 10.0,
        real: str = "image",
    ) -> None:
        super().__init__(parts)
        if "discriminator" not in parts.optimizers:
            raise RunError(
                ExitCode.BAD_CONFIG, "config.optimizers has no 'discriminator': a GAN needs two"
            )
        self.latent, self.critic_updates = latent, critic_updates
        self.penalty_weight, self.real = penalty, real
        self.generator = self.models["main"]
        self.critic = self.models["discriminator"]
        for name in ("wasserstein", "gradient_penalty"):
            self.metrics[name] = keras.metrics.Mean(name=name)

    @classmethod
    def model_shapes(
        cls,
        features: Mapping[str, Feature],
        *,
        latent: int = 32,
        real: str = "image",
        **others: float,
    ) -> dict[str, tuple[Any, int]]:
        """Noise to image, and image to one number."""
        del others
        need(features, real=real)
        return {"main": ((latent,), 1), "discriminator": (features[real].shape, 1)}

    def train_step(self, replica: Replica) -> None:
        """Update the critic a few times, each time on other drawings; then the generator."""
        weights = self.critic.trainable_variables
        for _ in range(self.critic_updates):
            grads = replica.gradient(self._critic_loss, weights)
            replica.apply(self.optimizers["discriminator"], grads, weights)

        weights = self.generator.trainable_variables
        grads = replica.gradient(self._generator_loss, weights)
        replica.apply(self.optimizers["main"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the critic's loss of each example."""
        return self._critic_loss(microbatch, training=False)

    def _critic_loss(self, microbatch: Microbatch, training: bool = True) -> tf.Tensor:
        real, fake = microbatch[self.real], self._draw(microbatch, training)
        distance = self._rate(real, training) - self._rate(fake, training)
        penalty = self._gradient_penalty(microbatch, real, fake)
        self.metrics["wasserstein"].update_state(distance, microbatch.weights)
        self.metrics["gradient_penalty"].update_state(penalty, microbatch.weights)
        return self.penalty_weight * penalty - distance

    def _generator_loss(self, microbatch: Microbatch) -> tf.Tensor:
        return -self._rate(self._draw(microbatch, training=True), training=True)

    def _gradient_penalty(
        self, microbatch: Microbatch, real: tf.Tensor, fake: tf.Tensor
    ) -> tf.Tensor:
        """Return (|dD/dx| - 1)^2 between real and drawn images: float[b]."""
        shape = [real.shape[0]] + [1] * (real.shape.rank - 1)
        mix = tf.random.stateless_uniform(shape, microbatch.seed(1), alg="philox")
        between = real + mix * (tf.cast(fake, real.dtype) - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            rating = self._rate(between, training=True)
        slope = tape.gradient(rating, between)
        squares = tf.reduce_sum(tf.square(slope), axis=list(range(1, slope.shape.rank)))
        # The root of zero has no slope: a critic that is flat there would give NaN.
        return tf.square(tf.sqrt(squares + 1e-12) - 1)

    def images(self) -> dict[str, tf.Tensor]:
        """Return drawings, always from the same noise."""
        noise = tf.random.stateless_normal([64, self.latent], [0, 0], alg="philox")
        return {"samples": self.generator(noise, training=False)}

    def _draw(self, microbatch: Microbatch, training: bool) -> tf.Tensor:
        shape = [microbatch.weights.shape[0], self.latent]
        noise = tf.random.stateless_normal(shape, microbatch.seed(), alg="philox")
        return self.generator(noise, training=training)

    def _rate(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.reshape(tf.cast(self.critic(images, training=training), tf.float32), [-1])
