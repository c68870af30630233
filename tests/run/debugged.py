"""An experiment to look into: a layer, a loss and a step, with places to plant faults."""

import os

import keras
import tensorflow as tf

from trainer import OptimizerConfig, PartConfig, TrainConfig
from trainer.tasks.supervised import Supervised

BAD_STEP = 3
PLANTED = os.environ.get("PLANTED", "")


class Doubled(keras.layers.Layer):
    is_bad = False

    def call(self, x):
        if PLANTED == "stops" and tf.executing_eagerly():
            print("in the layer", x.numpy().shape)
            breakpoint()
        if PLANTED == "layer":
            return 2.0 * x / tf.where(self.is_bad, 0.0, 1.0)
        if PLANTED == "gradient":  # that of a root at 0 is infinite, times 0
            return 2.0 * x + tf.sqrt(tf.where(self.is_bad, 0.0 * x, 0.0 * x + 1.0))
        return 2.0 * x


def small_model(input_shape, num_outputs):
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(8, name="first")(keras.layers.Flatten()(inputs))
    x = keras.layers.Dropout(0.3)(Doubled(name="doubled")(x))
    return keras.Model(inputs, keras.layers.Dense(num_outputs, name="last")(x))


class Exploding(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        if PLANTED == "update" and "kernel" in variable.path and "last" in variable.path:
            factor = tf.where(self.iterations == BAD_STEP, float("inf"), 1.0)
            self.assign(variable, variable * factor)


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

    def _predict(self, microbatch, *, training):
        self.model.get_layer("doubled").is_bad = training & (microbatch.step == BAD_STEP)
        return super()._predict(microbatch, training=training)


def get_config():
    return TrainConfig(
        train_steps=6,
        global_batch_size=8,
        virtual_replicas=2,
        log_every_steps=3,
        task=PartConfig(f"{__name__}:Looked"),
        model=PartConfig(f"{__name__}:small_model"),
        loss=PartConfig(f"{__name__}:loss"),
        optimizer=OptimizerConfig(f"{__name__}:Exploding", 0.01),
    )
