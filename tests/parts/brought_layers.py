"""Layers as people bring them, by what they hold, draw and read: each between two dense layers."""

import random
import time

import keras
import numpy as np
import tensorflow as tf

layers = keras.layers
MADE = {}


def made(make):
    MADE[make.__name__] = make
    return make


class Layer(keras.layers.Layer):
    """A layer with what every case repeats."""

    def weight(self, name, **more):
        return self.add_weight(shape=(4,), initializer="ones", name=name, **more)


@made
class AddsALoss(Layer):
    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(x**2))
        return x


@made
class MakesAWeightInCall(Layer):
    def call(self, x):
        if not hasattr(self, "w"):
            self.w = self.weight("w")
        return x * self.w


@made
class HoldsVariables(Layer):
    """In a list and a dictionary, made with `keras.Variable`."""

    def __init__(self):
        super().__init__()
        self.factors = [keras.Variable(tf.ones(4)), keras.Variable(tf.ones(4))]
        self.shifts = {"one": keras.Variable(tf.zeros(4))}

    def call(self, x):
        return x * self.factors[0] * self.factors[1] + self.shifts["one"]


@made
class CountsInAList(Layer):
    def build(self, _):
        self.counts = [self.weight(f"c{i}", trainable=False) for i in range(3)]

    def call(self, x):
        self.counts[1].assign_add(keras.ops.mean(x, 0))
        return x


@made
class AddsUpInAList(Layer):
    def build(self, _):
        more = {"trainable": False, "aggregation": "sum"}
        self.counts = [self.weight(f"c{i}", **more) for i in range(3)]

    def call(self, x):
        self.counts[1].assign_add(keras.ops.sum(x, 0))
        return x


@made
class HoldsATensorFlowVariable(Layer):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(tf.ones(4))

    def call(self, x):
        return x * self.factor


@made
class HoldsAModule(Layer):
    def __init__(self):
        super().__init__()
        self.inner = tf.Module()
        self.inner.w = tf.Variable(tf.ones(4))

    def call(self, x):
        return x * self.inner.w


@made
class HoldsAGenerator(Layer):
    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(1)

    def call(self, x):
        return x + self.generator.normal(tf.shape(x))


@made
class DrawsByNumPy(Layer):
    def call(self, x):
        return x + np.random.normal(size=(1, 4)).astype("float32")


@made
class DrawsByAHeldGeneratorOfNumPy(Layer):
    def __init__(self):
        super().__init__()
        self.generator = np.random.default_rng(0)

    def call(self, x):
        return x + self.generator.normal(size=(1, 4)).astype("float32")


@made
class DrawsByAnUnseededGenerator(Layer):
    def call(self, x):
        return x + np.random.default_rng().normal(size=(1, 4)).astype("float32")


@made
class DrawsTheSameByNumPy(Layer):
    """As in Keras: the generator is made anew at each call."""

    def call(self, x):
        return x + np.random.default_rng(0).normal(size=(1, 4)).astype("float32")


@made
class DrawsByPython(Layer):
    def call(self, x):
        return x * random.random()


@made
class DecidesByPython(Layer):
    def call(self, x):
        return x * 2.0 if random.random() < 0.5 else keras.ops.tanh(x)


@made
class ReadsAClock(Layer):
    def call(self, x):
        return x * (time.time() % 1.0)


@made
class CountsInPython(Layer):
    count = 0

    def call(self, x):
        self.count += 1
        return x / self.count


@made
class DrawsWithAKerasSeed(Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x, training=None):
        return keras.random.dropout(x, 0.5, seed=self.seed) if training else x


@made
class DrawsWithoutASeed(Layer):
    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


@made
class DrawsByTensorFlow(Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x))
