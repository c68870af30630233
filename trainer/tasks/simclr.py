"""Contrastive learning: a loss over the whole batch, and a linear probe beside it."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.data.augment.color_jitter import color_jitter
from trainer.data.augment.hashing import fold
from trainer.data.augment.pad_and_crop import pad_and_crop
from trainer.data.info import Feature
from trainer.losses.from_keras import as_per_example
from trainer.losses.shapes import WeightedLosses
from trainer.task import Microbatch, Parts, Replica, Task
from trainer.tasks.supervised import Supervised

_OTHERS = ("projector", "probe")


class SimClr(Task):
    """The encoder ("main") learns to know an image again among all others of the batch.

    Each image is seen twice, shifted and in another light. No label is used. The config's `loss`
    and metrics belong to the probe, a model that learns to tell the classes apart from what the
    encoder makes of an image, and does not teach the encoder.

    Args:
        parts: models and optimizers with the roles "main", "projector" and "probe".
        temperature: divides the similarities.
        width: numbers by which the encoder describes an image.
        projection: numbers that the projector makes of these, which are compared.
        shift: pixels by which a view moves, at most.
        light: share by which brightness and contrast of a view change, at most.
        input: feature with the image.
        label: feature with the class.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
    2020, equation 1.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        temperature: float = 0.5,
        width: int = 64,
        projection: int = 32,
        shift: int = 1,
        light: float = 0.4,
        input: str = "image",
        label: str = "label",
    ) -> None:
        super().__init__(parts)
        del width, projection
        if missing := [role for role in _OTHERS if role not in parts.optimizers]:
            raise RunError(
                ExitCode.BAD_CONFIG, f"config.optimizers has no {missing[0]!r}: add one for it"
            )
        self.temperature, self.shift, self.light = temperature, shift, light
        self.input, self.label = input, label
        self.encoder, self.projector = self.models["main"], self.models["projector"]
        self.probe = self.models["probe"]
        self.compared = tuple(parts.metrics.values())
        self.loss = as_per_example(self.loss)

    @classmethod
    def model_shapes(
        cls,
        features: Mapping[str, Feature],
        *,
        width: int = 64,
        projection: int = 32,
        input: str = "image",
        label: str = "label",
        **_: float,
    ) -> dict[str, tuple[Any, int]]:
        """The encoder gives `width` numbers, which the other two models read."""
        image, classes = Supervised.model_shapes(features, input=input, label=label)["main"]
        return {
            "main": (image, width),
            "projector": ((width,), projection),
            "probe": ((width,), classes),
        }

    def train_step(self, replica: Replica) -> None:
        """Update encoder and projector by the loss of the batch, then the probe by its labels."""
        encoder, projector = self.encoder.trainable_variables, self.projector.trainable_variables
        grads = replica.gradient_of_batch(self._embed, self._contrast, [*encoder, *projector])
        replica.apply(self.optimizers["main"], grads[: len(encoder)], encoder)
        replica.apply(self.optimizers["projector"], grads[len(encoder) :], projector)

        weights = self.probe.trainable_variables
        grads = replica.gradient(self.eval_step, weights)
        replica.apply(self.optimizers["probe"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor | WeightedLosses:
        """Return the loss of the probe, float[b]; the encoder is asked, not taught."""
        seen = self.encoder(microbatch[self.input], training=False)
        logits = tf.cast(self.probe(tf.stop_gradient(seen)), tf.float32)
        for metric in self.compared:
            metric.update_state(microbatch[self.label], logits, sample_weight=microbatch.weights)
        return self.loss(microbatch[self.label], logits)

    def _embed(self, microbatch: Microbatch) -> list[tf.Tensor]:
        views = [self._view(microbatch, index) for index in range(2)]
        return [self.projector(self.encoder(v, training=True), training=True) for v in views]

    def _contrast(self, projected: list[tf.Tensor]) -> tf.Tensor:
        first, second = projected
        return contrast(first, second, self.temperature)

    def _view(self, microbatch: Microbatch, index: int) -> tf.Tensor:
        """Return the images, float[b, H, W, C], each changed by draws of its own."""
        images = microbatch[self.input][tf.newaxis]
        seed = microbatch.seed(index)
        keys = fold(fold(seed[0], seed[1]), tf.range(images.shape[1]))[tf.newaxis]
        batch = pad_and_crop({"image": images}, fold(keys, 0), pixels=self.shift)
        batch = color_jitter(batch, fold(keys, 1), brightness=self.light, contrast=self.light)
        return batch["image"][0]


def contrast(first: tf.Tensor, second: tf.Tensor, temperature: float) -> tf.Tensor:
    """Return -log of the share that an example's other view has among all: float[B].

    Args:
        first: float[B, n], one view of every example.
        second: the other.
        temperature: divides the cosines.
    """
    num_examples = first.shape[0]
    z = tf.math.l2_normalize(tf.concat([first, second], 0), axis=-1)
    # A view is not compared with itself: its cosine is 1, and e**(-1e9) is 0.
    cosines = z @ tf.transpose(z) / temperature - 1e9 * tf.eye(2 * num_examples)
    own = tf.roll(tf.range(2 * num_examples), num_examples, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(own, cosines)
    return (losses[:num_examples] + losses[num_examples:]) / 2
