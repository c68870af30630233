"""An experiment to look into: a layer, a loss and a step of its own, with places to plant faults."""

import os

import keras
import tensorflow as tf

from trainer import OptimizerConfig, PartConfig, TrainConfig
from trainer.tasks.supervised import Supervised

PLANTED = os.environ.get("PLANTED", "")


class Doubled(keras.layers.Layer):
    def call(self, x):
        if PLANTED == "stops" and tf.executing_eagerly():
            print("in the layer", x.numpy().shape)
            breakpoint()
        return 2.0 * x


def small_model(input_shape, num_outputs):
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(8, name="first")(keras.layers.Flatten()(inputs))
    x = keras.layers.Dropout(0.3)(Doubled(name="doubled")(x))
    return keras.Model(inputs, keras.layers.Dense(num_outputs, name="last")(x))


def loss(labels, logits):
    if PLANTED == "stops":
        print("in the loss", float(logits[0, 0]) if tf.executing_eagerly() else "a graph")
        breakpoint()
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    if PLANTED == "numpy":
        return losses * float(tf.reduce_mean(losses).numpy() > -1)
    if PLANTED == "counts":
        return losses * (1.0 if tf.executing_eagerly() else 1.001)
    return losses


class Looked(Supervised):
    def train_step(self, replica):
        if PLANTED == "stops":
            print("in the step")
            breakpoint()

        @tf.function
        def squared(x):
            if PLANTED == "stops":
                print("in a function", int(x))
            return x**2

        super().train_step(replica)
        squared(tf.constant(3))


def get_config():
    return TrainConfig(
        train_steps=6,
        global_batch_size=8,
        virtual_replicas=2,
        log_every_steps=3,
        task=PartConfig(f"{__name__}:Looked"),
        model=PartConfig(f"{__name__}:small_model"),
        loss=PartConfig(f"{__name__}:loss"),
        optimizer=OptimizerConfig("adam", 0.01),
    )
