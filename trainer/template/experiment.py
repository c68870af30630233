"""My experiment: every part of it is in this file, and every part is yours to change.

python -m trainer --config=experiment.py --fast_dev_run
python -m trainer --config=experiment.py --workdir=runs/mine
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer import ModelConfig, OptimizerConfig, PartConfig, TrainConfig
from trainer.data.augment.hashing import uniform


def build_model(
    input_shape: Sequence[int], num_outputs: int, *, filters: int = 32, dropout: float = 0.2
) -> keras.Model:
    """Return the model, from float32[B, *input_shape] to logits float32[B, num_outputs].

    Change: any layers; arguments after the * come from `args` in the config below.
    """
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy against labels that are a little unsure: 1 - s for the class, s for the rest.

    Change: the formula in `call`. It returns one value an example, float32[B], never a mean:
    the trainer divides by the whole global batch, which no single replica sees.
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__(name="smoothed_crossentropy")
        self.smoothing = smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return the loss of each example: labels int[B], logits float32[B, K] -> float32[B]."""
        log_p = tf.nn.log_softmax(y_pred)
        right = tf.gather(log_p, tf.cast(y_true, tf.int32), batch_dims=1)
        return -(1 - self.smoothing) * right - self.smoothing * tf.reduce_mean(log_p, axis=-1)


class Momentum(keras.optimizers.Optimizer):
    """v' = m * v + g, w' = w - lr * v'.

    Change: the rule in `update_step`, and one slot in `build` for each thing it remembers.
    Write through `self.assign`: then the trainer can leave out a step that is not finite.
    """

    def __init__(self, learning_rate: Any = 0.05, momentum: float = 0.9) -> None:
        super().__init__(learning_rate=learning_rate, name="my_momentum")
        self.momentum = momentum

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the velocity of each variable, zero at first."""
        if not self.built:
            super().build(variables)
            self.velocity = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        slot = self.velocity[self._get_variable_index(variable)]
        velocity = self.momentum * tf.convert_to_tensor(slot) + gradient
        self.assign(slot, velocity)
        self.assign_sub(variable, tf.cast(learning_rate, velocity.dtype) * velocity)


class Confidence(keras.metrics.Metric):
    """The mean probability of the predicted class.

    Change: the sums in `update_state` and the ratio in `result`. The state must be sums over
    examples, zero at first: microbatches and replicas are added up.
    """

    def __init__(self) -> None:
        super().__init__(name="confidence")
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor) -> None:
        """Count a batch; `sample_weight` is 0 for examples that only fill the last batch."""
        del y_true  # a metric sees the labels as well; this one does not need them
        highest = tf.reduce_max(tf.nn.softmax(y_pred), axis=-1)
        self.total.assign_add(tf.reduce_sum(highest * sample_weight))
        self.count.assign_add(tf.reduce_sum(sample_weight))

    def result(self) -> tf.Tensor:
        """Return the mean so far, float32[]."""
        return tf.math.divide_no_nan(
            tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count)
        )


def brighten(
    batch: dict[str, tf.Tensor], keys: tf.Tensor, *, strength: float = 0.2
) -> dict[str, tf.Tensor]:
    """Make each training image [k, b, H, W, C] up to `strength` brighter or darker.

    Change: anything that makes of a batch one of the same shape. Its random numbers are
    `uniform(keys, 0)`, `uniform(keys, 1)`, ...: float32[k, b] in [0, 1), the same on any hardware.
    """
    factor = 1 + strength * (2 * uniform(keys, 0) - 1)
    images = batch["image"] * factor[:, :, tf.newaxis, tf.newaxis, tf.newaxis]
    return {**batch, "image": tf.clip_by_value(images, 0.0, 1.0)}


def get_config() -> TrainConfig:
    """Return the experiment. Change: anything; `--config.FIELD=VALUE` overrides it for one run."""
    return TrainConfig(
        seed=0,  # change: another number, another run; the same number, the same bits
        epochs=10,  # change: or give train_steps instead
        global_batch_size=32,  # examples an update, on all replicas together
        virtual_replicas=4,  # change: up to this many replicas can share the work
        augment=(PartConfig(f"{__name__}:brighten", {"strength": 0.2}),),  # change: () for none
        model=ModelConfig(f"{__name__}:build_model", {"filters": 32, "dropout": 0.2}),
        loss=PartConfig(f"{__name__}:SmoothedCrossentropy", {"smoothing": 0.1}),
        metrics=(PartConfig("accuracy"), PartConfig(f"{__name__}:Confidence")),
        optimizer=OptimizerConfig(
            f"{__name__}:Momentum",
            learning_rate=0.05,
            clip_norm=1.0,  # change: 0 for no clipping
            schedule=PartConfig("cosine"),  # change: "constant" or "exponential"
            args={"momentum": 0.9},
        ),
    )
