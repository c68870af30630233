"""Parts of the user's for the runs of this room: schedules, an optimizer, a task with a hook."""

import keras
import tensorflow as tf

from trainer.tasks.supervised import Supervised


def halved(step, *, learning_rate, every):
    """A step decay: it takes no `total_steps`, so a run with it may go on."""
    return learning_rate * tf.pow(0.5, tf.cast(step // every, tf.float32))


def to_zero(step, *, learning_rate, total_steps):
    return learning_rate * (1.0 - tf.cast(step, tf.float32) / total_steps)


class Signs(keras.optimizers.Optimizer):
    """w' = w - lr * sign(g): every weight moves by its rate, whatever the gradient."""

    def __init__(self, learning_rate, **kwargs):
        super().__init__(learning_rate=learning_rate, name="signs", **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, tf.cast(learning_rate, gradient.dtype) * tf.sign(gradient))


class Watched(Supervised):
    """Writes everything that a hook may write, and tries to change the weights."""

    def on_evaluation(self, report):
        for variable in self.model.variables:
            variable.assign(tf.zeros_like(variable))
        weights = report.weights()
        report.scalars({"norm": float((weights["main/dense/kernel"] ** 2).sum() ** 0.5)})
        report.text("said", f"step {report.step}")
        report.table("numbers", [(n, v) for n, v in report.metrics.items()], ("metric", "value"))
        report.images("black", tf.zeros([2, 8, 8, 1]).numpy())
        with report.file("calls.txt").open("a") as file:
            file.write(f"{report.step}\n")


def normalized(input_shape, num_outputs, *, width=16, head="head"):
    """An MLP with batch statistics, and a head of its own name."""
    inputs = keras.Input(tuple(input_shape))
    x = keras.layers.Dense(width, name="dense")(keras.layers.Flatten()(inputs))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="bn")(x))
    return keras.Model(inputs, keras.layers.Dense(num_outputs, name=head)(x))
