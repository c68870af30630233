"""A custom experiment: model, loss class, optimizer class and metric in one file."""

import keras
import tensorflow as tf

from trainer.config import OptimizerConfig, PartConfig, TrainConfig


def small_model(input_shape, num_outputs, width=24):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(width, activation="gelu")(x)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))


class BrierLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        target = tf.one_hot(tf.cast(y_true, tf.int32), y_pred.shape[-1])
        return tf.reduce_sum((tf.nn.softmax(y_pred) - target) ** 2, axis=-1)


class SignDescent(keras.optimizers.Optimizer):
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * tf.sign(gradient))


class Confidence(keras.metrics.Metric):
    def __init__(self, name="confidence"):
        super().__init__(name=name)
        self.total = self.add_weight(initializer="zeros", name="total")
        self.count = self.add_weight(initializer="zeros", name="count")

    def update_state(self, _, y_pred, sample_weight):
        top = tf.reduce_max(tf.nn.softmax(y_pred), axis=-1)
        self.total.assign_add(tf.reduce_sum(top * sample_weight))
        self.count.assign_add(tf.reduce_sum(sample_weight))

    def result(self):
        return self.total / self.count


def get_config():
    return TrainConfig(
        epochs=4,
        global_batch_size=32,
        virtual_replicas=4,
        model=PartConfig(f"{__name__}:small_model", {"width": 32}),
        loss=PartConfig(f"{__name__}:BrierLoss"),
        optimizer=OptimizerConfig(f"{__name__}:SignDescent", learning_rate=0.002),
        metrics=(PartConfig("accuracy"), PartConfig(f"{__name__}:Confidence")),
    )
