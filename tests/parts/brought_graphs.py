"""Layers as people bring them, by how they compute: functions, loops, lookups, whole models."""

import keras
import tensorflow as tf

from tests.parts.brought_layers import Layer, layers, made


@made
class IsAFunction(Layer):
    def build(self, _):
        self.w = self.weight("w")

    @tf.function
    def call(self, x):
        return x * self.w


@made
class IsACompiledFunction(Layer):
    def build(self, _):
        self.w = self.weight("w")

    @tf.function(jit_compile=True)
    def call(self, x):
        return x * self.w


@made
class CallsAFunction(Layer):
    def build(self, _):
        self.w = self.weight("w")
        self.helper = tf.function(lambda x: x * self.w)

    def call(self, x):
        return self.helper(self.helper(x))


@made
class DrawsInAFunction(Layer):
    def __init__(self):
        super().__init__()
        self.drop = layers.Dropout(0.5)

    @tf.function
    def call(self, x, training=None):
        return self.drop(x, training=training)


@made
class DrawsInALoop(Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x):
        shape = tf.shape(x)

        def body(i, y):
            return i + 1, y + keras.random.normal(shape, seed=self.seed)

        return tf.while_loop(lambda i, _: i < 3, body, (0, x))[1]


@made
class AssignsInACondition(Layer):
    def build(self, _):
        self.n = self.weight("n", trainable=False, aggregation="sum")

    def call(self, x):
        tf.cond(tf.reduce_sum(x) > 0, lambda: self.n.assign_add(tf.ones(4)), lambda: self.n.value)
        return x


@made
class LoopsOverTime(Layer):
    def build(self, _):
        self.w = self.weight("w")

    def call(self, x):
        turn = lambda i, y: (i + 1, tf.tanh(y * self.w))  # noqa: E731 - as people write it
        return tf.while_loop(lambda i, _: i < 3, turn, (0, x))[1]


@made
class MapsOverExamples(Layer):
    def build(self, _):
        self.w = self.weight("w")

    def call(self, x):
        return tf.map_fn(lambda row: tf.sort(row) * self.w, x) + tf.vectorized_map(
            lambda row: row * self.w, x
        )


@made
class HasAGradientOfItsOwn(Layer):
    def build(self, _):
        self.w = self.weight("w")

    def call(self, x):
        @tf.custom_gradient
        def scaled(x, w):
            return x * w, lambda d: (d * w, tf.reduce_sum(d * x, 0) * 0.5)

        return scaled(x, tf.convert_to_tensor(self.w))


@made
class LooksUp(Layer):
    def __init__(self):
        super().__init__()
        keys = tf.constant([0, 1], tf.int64)
        filled = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([0.5, 2.0]))
        self.table = tf.lookup.StaticHashTable(filled, 1.0)

    def call(self, x):
        return x * self.table.lookup(tf.cast(x > 0, tf.int64))


@made
class FillsATable(Layer):
    def __init__(self):
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)

    def call(self, x):
        self.table.insert(tf.range(4, dtype=tf.int64), tf.reduce_mean(x, 0))
        found = self.table.lookup(tf.range(4, dtype=tf.int64))
        return x * tf.ensure_shape(found, [4])


@made
class IsRagged(Layer):
    def build(self, _):
        self.w = self.weight("w")

    def call(self, x):
        ragged = tf.RaggedTensor.from_tensor(x, lengths=tf.fill(tf.shape(x)[:1], 3))
        return ragged.to_tensor(shape=[None, 4]) * self.w


@made
class IsSparse(Layer):
    def build(self, _):
        self.w = self.add_weight(shape=(4, 4), name="w")

    def call(self, x):
        return tf.sparse.sparse_dense_matmul(tf.sparse.from_dense(tf.nn.relu(x)), self.w)


@made
class GathersRows(Layer):
    def build(self, _):
        self.rows = self.add_weight(shape=(7, 4), name="rows")

    def call(self, x):
        return x + tf.gather(self.rows, tf.cast(tf.abs(x[:, 0] * 7) % 7, tf.int32))


@made
class PrintsAndAsserts(Layer):
    def call(self, x):
        tf.debugging.assert_less(tf.reduce_mean(x), 1e9)
        return tf.debugging.check_numerics(x, "not a number")


@made
class AsksWhetherItTrains(Layer):
    def call(self, x, training=None):
        return x * 2.0 if training else x


@made
class HoldsAMetric(Layer):
    def __init__(self):
        super().__init__()
        self.mean = keras.metrics.Mean(name="inside")

    def call(self, x):
        self.mean.update_state(x)
        return x


@made
class InHalves(Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(4, dtype="float64")

    def call(self, x):
        return keras.ops.cast(self.inner(x), "float32")


@made
def drawing_lambda():
    return layers.Lambda(lambda x: x + keras.random.normal(tf.shape(x)))


@made
def lambda_of_tensorflow():
    return layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)), output_shape=(4,))


@made
def constrained():
    return layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.3))


@made
def regularized():
    return layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l2")


@made
def frozen_normalization():
    return layers.BatchNormalization(trainable=False)


@made
def with_adapters():
    return layers.Dense(4, lora_rank=2)


@made
def two_dropouts_of_one_seed():
    return keras.Sequential([layers.Dropout(0.3, seed=5), layers.GaussianNoise(0.2, seed=5)])


@made
def stateful_recurrence():
    return keras.Sequential([layers.Reshape((4, 1)), layers.GRU(4, stateful=True)])


@made
def masked_recurrence():
    return keras.Sequential(
        [layers.Reshape((4, 1)), layers.Masking(), layers.LSTM(4, recurrent_dropout=0.2)]
    )


@made
def checkpointed():
    return Rematerialized()


class Rematerialized(Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(4)
        self.again = keras.remat(self.inner.__call__)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.again(x)
