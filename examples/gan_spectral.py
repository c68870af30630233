"""A GAN whose discriminator cannot become steep: spectral normalization of its kernels.

The step is the trainer's own, `gan`; the model is new. `keras.layers.SpectralNormalization` divides
a kernel by its largest singular value, which it follows by one turn of the power method a step. Its
vector moves in the forward pass: it is a statistic, as the moving mean of a BatchNorm is, and is
averaged over the microbatches. At a loss of 2 ln 2 = 1.386 the discriminator could not tell the
drawings from the digits; look at the drawings as well.

Source: Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018.
Command: python -m trainer --config=examples/gan_spectral.py --workdir=runs/gan_spectral
Result: discriminator_loss >= 1.2; 1.358 after 1,408 steps
"""

from collections.abc import Sequence

import keras

from trainer import EvaluationReport, ModelConfig, OptimizerConfig, PartConfig, TrainConfig
from trainer.tasks.gan import Gan


class Drawing(Gan):
    """A GAN that keeps what it draws; for the arguments see `Gan`."""

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Draw 64 images, always from the same noise."""
        report.images("drawn", self.images()["samples"].numpy())


def spectral_discriminator(
    input_shape: Sequence[int], num_outputs: int, *, filters: int = 32
) -> keras.Model:
    """Return a model from images float32[B, H, W, C] to logits float32[B, num_outputs]."""

    def normed(layer: keras.Layer) -> keras.Layer:
        return keras.layers.SpectralNormalization(layer)

    inputs = x = keras.Input(tuple(input_shape))
    for width in (filters, 2 * filters):
        x = normed(keras.layers.Conv2D(width, 4, strides=2, padding="same"))(x)
        x = keras.layers.LeakyReLU(negative_slope=0.1)(x)
    x = normed(keras.layers.Dense(num_outputs))(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def get_config() -> TrainConfig:
    """Return the experiment."""
    adam = {"beta_1": 0.5}
    return TrainConfig(
        epochs=60,
        global_batch_size=64,
        virtual_replicas=4,
        eval_every_steps=470,
        task=PartConfig(f"{__name__}:Drawing", {"latent": 32, "smoothing": 0.1}),
        model=ModelConfig("generator", {"image_shape": [8, 8, 1]}),
        models={"discriminator": ModelConfig(f"{__name__}:spectral_discriminator")},
        metrics=(),
        optimizer=OptimizerConfig("adam", learning_rate=1e-3, args=adam),
        optimizers={"discriminator": OptimizerConfig("adam", learning_rate=2e-3, args=adam)},
        ema_decay=0.99,
    )
