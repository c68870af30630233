"""Segmentation: each pixel of a noisy picture is background, disc or square.

The data function names the feature `mask`, and the config gives its role: classes of pixels, which
are not scaled, and move with their image. `flip` and `pad_and_crop` draw once for both;
`color_jitter` changes the image alone. Pixels that come in from outside of a mask belong to no
class: `ignore_class` keeps them out of loss and metrics.

Source: Ronneberger et al., U-Net, MICCAI 2015, made small.
Command: python -m trainer --config=examples/segmentation.py --workdir=runs/segmentation
Result: mean_iou >= 0.57; 0.6115 after 384 steps
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer import (
    DatasetConfig,
    EvaluationReport,
    ModelConfig,
    OptimizerConfig,
    PartConfig,
    TrainConfig,
)
from trainer.tasks.supervised import Supervised

NOWHERE = 255
"""Class of the pixels that an augmentation moves in from outside."""


def shapes(train: int = 1024, test: int = 256, side: int = 24, seed: int = 0) -> dict:
    """Return split -> {"image": uint8[N, side, side, 1], "mask": uint8[N, side, side, 1]}.

    A picture has two shapes that may hide each other, on a bright or dark ground, and noise of the
    strength of the contrast.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    count = train + test
    mask = np.zeros([count, side, side], np.uint8)
    for index in range(count):
        for _ in range(2):
            kind, size = random.integers(1, 3), random.uniform(3, 6)
            y, x = random.uniform(4, side - 4, size=2)
            far = np.abs([rows - y, columns - x])
            inside = far.max(0) < size if kind == 2 else np.hypot(*far) < 1.13 * size  # one area
            mask[index][inside] = kind
    light = random.uniform(60, 120, [count, 1, 1]) + 60 * (mask > 0)
    image = np.clip(light + random.normal(0, 40, mask.shape), 0, 255).astype(np.uint8)
    both = {"image": image[..., np.newaxis], "mask": mask[..., np.newaxis]}
    return {
        "train": {name: values[:train] for name, values in both.items()},
        "test": {name: values[train:] for name, values in both.items()},
    }


class Segmentation(Supervised):
    """The classic step, and a look at what it makes of new pictures."""

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Draw three rows: an image, its mask, and the mask that the model finds."""
        new = shapes(train=0, test=3, seed=1)["test"]
        logits = self.model(tf.constant(new["image"] / 255.0, tf.float32), training=False)
        found = tf.argmax(logits, axis=-1).numpy()[..., np.newaxis]
        rows = np.stack([new["image"] / 255, new["mask"] / 2, found / 2], axis=1)
        report.images("found", rows.reshape(-1, *new["image"].shape[1:]))


def u_net(input_shape: Sequence[int], num_outputs: int, *, classes: int) -> keras.Model:
    """Return a model from float32[B, H, W, C] to logits float32[B, H, W, K]; 4 divides H and W.

    `num_outputs` is 1, the channels of a mask, whose classes nobody counts: `args` give them.
    """
    del num_outputs

    def block(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

    inputs = keras.Input(tuple(input_shape))
    fine = block(inputs, 16)
    middle = block(keras.layers.MaxPooling2D()(fine), 32)
    x = block(keras.layers.MaxPooling2D()(middle), 64)
    for skipped, width in ((middle, 32), (fine, 16)):
        x = keras.layers.Concatenate()([keras.layers.UpSampling2D()(x), skipped])
        x = block(x, width)
    return keras.Model(inputs, keras.layers.Conv2D(classes, 1, dtype="float32")(x))


def get_config() -> TrainConfig:
    """Return the experiment."""
    iou = {"num_classes": 3, "sparse_y_pred": False, "name": "mean_iou", "ignore_class": NOWHERE}
    return TrainConfig(
        epochs=12,
        global_batch_size=32,
        virtual_replicas=4,
        dataset=DatasetConfig(f"{__name__}:shapes", roles={"mask": "mask"}),
        augment=(
            PartConfig("flip"),
            PartConfig("pad_and_crop", {"pixels": 2}),
            PartConfig("color_jitter", {"brightness": 0.2, "contrast": 0.2}),
        ),
        task=PartConfig(f"{__name__}:Segmentation", {"label": "mask"}),
        model=ModelConfig(f"{__name__}:u_net", {"classes": 3}),
        loss=PartConfig("sparse_categorical_crossentropy", {"ignore_class": NOWHERE}),
        metrics=(PartConfig("accuracy"), PartConfig("keras.metrics:MeanIoU", iou)),
        optimizer=OptimizerConfig("adam", learning_rate=4e-3, schedule=PartConfig("cosine")),
    )
