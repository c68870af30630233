"""A denoising diffusion model: one network learns to take noise away, and draws from noise alone.

Of each image a step makes a noisy one, `sqrt(kept) x + sqrt(1 - kept) noise`, with a share `kept`
that shrinks from 1 to 0 with the time, and asks the network for the noise. The loss is its mean
squared error. Drawing is a long Python loop; it stands in `on_evaluation`, where nothing is traced,
and is made with the running average of the weights (`ema_decay`).

Source: Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020, algorithms 1 and 2; the
times are those of Nichol and Dhariwal, Improved Denoising Diffusion Models, 2021, equation 17.
Command: python -m trainer --config=examples/diffusion.py --workdir=runs/diffusion
Result: loss <= 0.22; 0.1874 after 1,500 steps
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import (
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

TIMES = 100
_ANGLES = (np.arange(TIMES + 1) / TIMES + 0.008) / 1.008 * np.pi / 2
KEPT = np.maximum(np.cos(_ANGLES) ** 2 / np.cos(_ANGLES[0]) ** 2, 1e-4).astype(np.float32)
"""float32[TIMES + 1], the share of the image that is left at each time."""


class Diffusion(Task):
    """Minimize the error in the noise of an image; images are in [-1, 1] here."""

    @classmethod
    def model_shapes(cls, features: Mapping[str, Feature]) -> dict[str, tuple[Any, int]]:
        """A noisy image and its time to the noise."""
        image = features["image"]
        return {"main": ({"image": image, "time": (1,)}, image.shape[-1])}

    def train_step(self, replica: Replica) -> None:
        """Take one gradient, and update."""
        weights = self.models["main"].trainable_variables
        grads = replica.gradient(self.eval_step, weights)
        replica.apply(self.optimizers["main"], grads, weights)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the squared error of each image, float[b], at a time that is drawn for it."""
        images = 2 * microbatch["image"] - 1
        noise = keras.random.normal(images.shape)
        time = keras.random.randint([images.shape[0], 1], 1, TIMES + 1)
        kept = tf.gather(KEPT, time)[..., tf.newaxis, tf.newaxis]
        noisy = tf.sqrt(kept) * images + tf.sqrt(1 - kept) * noise
        return tf.reduce_mean(tf.square(self._noise(noisy, time) - noise), axis=[1, 2, 3])

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Draw 64 images, from the last time to the first, always from the same numbers."""
        random = np.random.default_rng(0)
        x = random.normal(size=[64, *self.models["main"].output_shape[1:]]).astype(np.float32)
        for time in range(TIMES, 0, -1):
            noise = self._noise(tf.constant(x), tf.fill([64, 1], time)).numpy()
            image = np.clip((x - np.sqrt(1 - KEPT[time]) * noise) / np.sqrt(KEPT[time]), -1, 1)
            # The normal distribution of x one time earlier, given x and the image: equation 7.
            step, before, now = KEPT[time] / KEPT[time - 1], KEPT[time - 1], KEPT[time]
            mean = np.sqrt(before) * (1 - step) * image + np.sqrt(step) * (1 - before) * x
            spread = np.sqrt((1 - step) * (1 - before) / (1 - now))
            x = (mean / (1 - now) + spread * random.normal(size=x.shape)).astype(np.float32)
        report.images("drawn", (x + 1) / 2)

    def _noise(self, images: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        time = tf.cast(time, tf.float32) / TIMES
        return self.models["main"]({"image": images, "time": time})


def denoiser(
    input_shape: Mapping[str, tuple[int, ...]], num_outputs: int, *, width: int = 192
) -> keras.Model:
    """Return a residual network from image [B, H, W, C] and time [B, 1] in [0, 1] to noise."""
    inputs = {name: keras.Input(shape, name=name) for name, shape in input_shape.items()}
    height, width_, _ = input_shape["image"]
    angles = inputs["time"] * (np.pi / 2 * 2.0 ** np.arange(6, dtype=np.float32))
    waves = keras.layers.Concatenate()([keras.ops.sin(angles), keras.ops.cos(angles)])
    x = keras.layers.Dense(width)(keras.layers.Flatten()(inputs["image"]))
    for _ in range(4):
        hidden = keras.layers.Concatenate()([keras.layers.LayerNormalization()(x), waves])
        hidden = keras.layers.Dense(2 * width, activation="gelu")(hidden)
        x += keras.layers.Dense(width)(hidden)
    x = keras.layers.Dense(height * width_ * num_outputs)(keras.layers.LayerNormalization()(x))
    return keras.Model(inputs, keras.layers.Reshape((height, width_, num_outputs))(x))


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        train_steps=1500,
        global_batch_size=128,
        virtual_replicas=4,
        eval_every_steps=1500,
        task=PartConfig(f"{__name__}:Diffusion"),
        model=ModelConfig(f"{__name__}:denoiser"),
        metrics=(),
        optimizer=OptimizerConfig(
            "adam", 2e-3, clip_norm=1.0, schedule=PartConfig("cosine"), warmup_steps=100
        ),
        ema_decay=0.995,
    )
