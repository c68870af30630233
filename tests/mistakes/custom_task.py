"""A custom task with a layer, a Python loss and data of its own: what the battery makes wrong."""

import keras
import numpy as np
import tensorflow as tf

from trainer import DatasetConfig, OptimizerConfig, PartConfig, TrainConfig
from trainer.task import Task


class Noisy(keras.layers.Layer):
    def __init__(self, units, rate=0.1):
        super().__init__()
        self.units = units
        self.rate = rate
        self.seeds = keras.random.SeedGenerator(1)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.seen = self.add_weight(shape=(), trainable=False, name="seen", aggregation="mean")

    def call(self, x, training=False):
        if training:
            x = x + self.rate * keras.random.normal(keras.ops.shape(x), seed=self.seeds)
            self.seen.assign(keras.ops.mean(x))
        return keras.ops.matmul(x, self.kernel)


def network(input_shape, num_outputs, width=12):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    x = keras.ops.relu(Noisy(width)(x))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))


def squares(y_true, y_pred):
    target = tf.one_hot(tf.cast(y_true, tf.int32), y_pred.shape[-1])
    return tf.reduce_sum((tf.nn.softmax(y_pred) - target) ** 2, axis=-1)


def examples(count=64):
    made = np.random.default_rng(0)
    points = made.normal(size=(count, 6)).astype("float32")
    arrays = {"point": points, "kind": made.integers(0, 4, count)}
    return {"train": arrays, "test": {name: values[:16] for name, values in arrays.items()}}


class Twice(Task):
    def __init__(self, parts, scale=0.5):
        super().__init__(parts)
        self.model = self.models["main"]
        self.scale = scale
        self.rounds = keras.Variable(0.0, trainable=False)

    @classmethod
    def model_shapes(cls, features, scale=0.5):
        del scale
        return {"main": (features["point"].shape, 4)}

    def losses(self, microbatch, training):
        logits = self.model(microbatch["point"], training=training)
        return self.loss(microbatch["kind"], logits)

    def train_step(self, replica):
        variables = self.model.trainable_variables
        grads = replica.gradient(lambda m: self.losses(m, training=True), variables)
        scaled = [g * self.scale for g in grads]
        replica.apply(self.optimizers["main"], scaled, variables)
        self.rounds.assign_add(1.0)

    def eval_step(self, microbatch):
        return self.losses(microbatch, training=False)


def get_config():
    return TrainConfig(
        train_steps=2,
        global_batch_size=8,
        virtual_replicas=2,
        dataset=DatasetConfig(f"{__name__}:examples"),
        task=PartConfig(f"{__name__}:Twice", {"scale": 0.9}),
        model=PartConfig(f"{__name__}:network", {"width": 16}),
        loss=PartConfig(f"{__name__}:squares"),
        metrics=(),
        optimizer=OptimizerConfig("sgd", learning_rate=0.1, clip_norm=1.0),
    )
