"""A run whose numbers hardly depend on the processor: nothing in it jumps.

Without ties of a maximum, kinks of ReLU and divisions by small roots, as Adam has them, rounding
stays rounding for 100 steps. The norms of its gradients lie on both sides of the clip.
"""

from collections.abc import Sequence

import keras

from trainer.config import OptimizerConfig, PartConfig, TrainConfig


def model(input_shape: Sequence[int], num_outputs: int) -> keras.Model:
    """Return two dense layers with tanh, batch norm and dropout between them."""
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Dense(24)(keras.layers.Flatten()(inputs))
    x = keras.layers.Activation("tanh")(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))


def get_config() -> TrainConfig:
    """Return the experiment."""
    return TrainConfig(
        train_steps=100,
        global_batch_size=32,
        virtual_replicas=4,
        model=PartConfig("tests.golden.smooth:model"),
        regularizer=PartConfig("l2", {"factor": 0.001}),
        optimizer=OptimizerConfig(
            "momentum",
            learning_rate=0.05,
            clip_norm=1.5,
            schedule=PartConfig("cosine"),
            warmup_steps=10,
            args={"weight_decay": 0.01},
        ),
        ema_decay=0.9,
        log_every_steps=10,
        eval_every_steps=25,
        checkpoint_every_steps=0,
    )
