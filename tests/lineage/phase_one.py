"""Fine-tuning, first phase: a new head on a base that stays as it is."""

import keras

from trainer import InitConfig, OptimizerConfig, PartConfig, TrainConfig


def build(input_shape, num_outputs, *, trains_base=False):
    """A MobileNet of `keras.applications` on small grey images, and a head."""
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Concatenate()([keras.layers.Resizing(32, 32)(inputs)] * 3)
    base = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, include_top=False, pooling="avg", weights=None
    )
    base.trainable = trains_base
    return keras.Model(inputs, keras.layers.Dense(num_outputs, name="head")(base(x)))


def get_config():
    return TrainConfig(
        train_steps=4,
        global_batch_size=12,
        virtual_replicas=3,
        checkpoint_every_steps=2,
        model=PartConfig(f"{__name__}:build"),
        optimizer=OptimizerConfig("adam", 1e-2),
        init=InitConfig("runs/base", exclude=("head",)),
    )
