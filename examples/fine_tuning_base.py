"""Phase one of `fine_tuning.py`: a small MobileNet of `keras.applications` learns shapes.

The weights are random at first (`weights=None`): nothing is downloaded. With weights from a file
this phase is left out: `init.from` takes a `.keras` or `.weights.h5` file as well.

Source: Howard et al., MobileNets, 2017; shapes made from a seed.
Command: python -m trainer --config=examples/fine_tuning_base.py --workdir=runs/fine_tuning_base
Result: accuracy >= 0.8; 0.8438 after 96 steps
"""

from collections.abc import Sequence

import keras
import numpy as np

from trainer import DatasetConfig, ModelConfig, OptimizerConfig, PartConfig, TrainConfig

SIDE = 32


def strokes(train: int = 1024, test: int = 256, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Return pictures of a ring, a bar, a cross or a corner, as coarse as the digits: 8 by 8.

    Returns:
        split -> {"image": uint8[N, 8, 8, 1], "label": int64[N]}.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:8, :8][:, np.newaxis] - random.uniform(3, 4, [2, train + test, 1, 1])
    size = random.uniform(1.5, 3.5, [train + test, 1, 1])
    box, thin = np.maximum(abs(x), abs(y)) < size, 0.8
    kinds = [
        abs(np.hypot(x, y) - size) < thin,
        (abs(x) < thin) & box,
        ((abs(x) < thin) | (abs(y) < thin)) & box,
        ((abs(x + size) < thin) | (abs(y - size) < thin)) & (box | (abs(x + size) < thin)),
    ]
    label = random.integers(0, len(kinds), train + test)
    drawn = np.choose(label[:, np.newaxis, np.newaxis], kinds)
    image = 255 * np.clip(0.8 * drawn + random.normal(0, 0.15, drawn.shape), 0, 1)
    both = {"image": image.astype(np.uint8)[..., np.newaxis], "label": label}
    return {
        "train": {name: values[:train] for name, values in both.items()},
        "test": {name: values[train:] for name, values in both.items()},
    }


def mobile_net(input_shape: Sequence[int], num_outputs: int) -> keras.Model:
    """Return a MobileNet on small grey images, enlarged, and a head: to float32[B, num_outputs]."""
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Concatenate()([keras.layers.Resizing(SIDE, SIDE)(inputs)] * 3)
    base = keras.applications.MobileNet(
        input_shape=(SIDE, SIDE, 3), alpha=0.25, include_top=False, pooling="avg", weights=None
    )
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # settles in tens of steps; the 0.99 of a long run would not here
    return keras.Model(inputs, keras.layers.Dense(num_outputs, name="head")(base(x)))


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        epochs=6,
        global_batch_size=64,
        virtual_replicas=2,
        dataset=DatasetConfig(f"{__name__}:strokes"),
        model=ModelConfig(f"{__name__}:mobile_net"),
        optimizer=OptimizerConfig("adam", learning_rate=3e-3, schedule=PartConfig("cosine")),
    )
