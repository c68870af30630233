"""Models, losses, metrics and tasks as users write them; `tests.parts.cases` trains them."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from trainer.task import Microbatch, Task, WeightedLosses
from trainer.tasks.supervised import Supervised

STEPS, BATCH = 2, 8
LARGE = 1_000_000_000
KERNEL = keras.initializers.GlorotUniform(seed=1)


# Models.


def dense(units=3, **args):
    return keras.layers.Dense(units, kernel_initializer=KERNEL, **args)


def linear(input_shape, num_outputs, activation=None):
    inputs = keras.Input(tuple(input_shape))
    return keras.Model(inputs, dense(num_outputs, activation=activation)(inputs))


class TwoInputs(keras.Model):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.out = kind, dense()

    def call(self, inputs):
        x, age = (inputs["x"], inputs["age"]) if self.kind == "dict" else inputs
        return self.out(tf.concat([x, age], 1))


def two_inputs(shapes, num_outputs, kind="dict"):
    return TwoInputs(kind)


def two_inputs_functional(shapes, num_outputs, kind="dict"):
    x, age = keras.Input((4,), name="x"), keras.Input((1,), name="age")
    inputs = {"x": x, "age": age} if kind == "dict" else [x, age]
    return keras.Model(inputs, dense()(keras.layers.Concatenate()([x, age])))


class TwoOutputs(keras.Model):
    def __init__(self):
        super().__init__()
        self.box, self.kind = dense(1), dense(3)

    def call(self, x):
        return {"box": self.box(x), "kind": self.kind(x)}


def two_outputs(input_shape, num_outputs):
    assert num_outputs in (3, {"box": 1, "kind": 3})
    return TwoOutputs()


def add_up(labels, outputs):
    box = tf.reduce_mean(tf.square(labels["box"] - outputs["box"]), -1)
    kinds = tf.cast(labels["kind"], tf.int32)
    return box + tf.nn.sparse_softmax_cross_entropy_with_logits(kinds, outputs["kind"])


class Users(keras.Model):
    """Looks up whole numbers that a float32 cannot tell apart."""

    def __init__(self):
        super().__init__()
        known = (LARGE + np.arange(BATCH * STEPS)).tolist()
        self.look = keras.layers.IntegerLookup(vocabulary=known)
        self.rows = keras.layers.Embedding(len(known) + 2, 3, embeddings_initializer="zeros")

    def call(self, user):
        return self.rows(self.look(user))[:, 0]


def users(input_shape, num_outputs):
    return Users()


def embedding(**args):
    return keras.layers.Embedding(1024, 3, embeddings_initializer="zeros", **args)


class Tokens(keras.Model):
    def __init__(self):
        super().__init__()
        self.rows = embedding()

    def call(self, tokens):
        return tf.reduce_mean(self.rows(tokens), 1)


def tokens(input_shape, num_outputs):
    return Tokens()


def stacked_tokens(input_shape, num_outputs):
    return keras.Sequential([embedding(), keras.layers.GlobalAveragePooling1D()])


def float_tokens(input_shape, num_outputs):
    inputs = keras.Input((5,))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(embedding()(inputs)))


def tagger(input_shape, num_outputs, mask=True):
    inputs = keras.Input((5,), dtype="int32")
    rows = keras.layers.Embedding(
        1024, 4, embeddings_initializer=keras.initializers.RandomNormal(seed=2), mask_zero=mask
    )
    return keras.Model(inputs, dense()(rows(inputs)))


def stacked(input_shape, num_outputs):
    return keras.Sequential([dense(num_outputs)])


class Broken(keras.Model):
    def call(self, x):
        return tf.matmul(x, tf.ones([7, 3]))


def broken(input_shape, num_outputs):
    return Broken()


def frozen(input_shape, num_outputs):
    model = linear(input_shape, num_outputs)
    model.trainable = False
    return model


def half(input_shape, num_outputs, how):
    if how == "policy":
        keras.config.set_dtype_policy("mixed_float16")
    if how == "floatx":
        keras.config.set_floatx("float16")
    inputs = keras.Input(tuple(input_shape), dtype="float32")
    return keras.Model(inputs, dense(dtype="mixed_float16" if how == "layer" else None)(inputs))


class Term(keras.layers.Layer):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def call(self, x):
        each = tf.reduce_sum(0.5 * tf.square(x), -1)
        self.add_loss(0.1 * (tf.reduce_sum(each) if self.kind == "sum" else tf.reduce_mean(each)))
        return x


def with_term(input_shape, num_outputs, kind):
    inputs = keras.Input(tuple(input_shape))
    x = dense(4, activity_regularizer=keras.regularizers.L2(0.02))(inputs)
    return keras.Model(inputs, dense(3)(Term(kind)(x)))


# Losses.


def lost(labels, predictions):
    """Returns a loss that does not know how many examples it has, as after a lookup of strings."""
    labels = tf.cast(labels, tf.int32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, predictions)
    return tf.boolean_mask(losses, losses > -1)


def two_losses(labels, predictions):
    return lost(labels, predictions), lost(labels, predictions)


# Metrics.


class Lazy(keras.metrics.Metric):
    """Makes its state at the first update; its result is a dictionary."""

    def __init__(self, name="lazy"):
        super().__init__(name=name)

    def update_state(self, labels, predictions, sample_weight=None):
        del labels
        if not self.variables:
            self.sums = self.add_variable((predictions.shape[-1],), "zeros", name="sums")
        self.sums.assign(self.sums + tf.linalg.matvec(predictions, sample_weight, transpose_a=True))

    def result(self):
        sums = tf.convert_to_tensor(self.sums)
        return {"first": sums[0], "all": tf.reduce_sum(sums)}


class Highest(keras.metrics.Metric):
    def __init__(self, kind, name="highest"):
        super().__init__(name=name)
        self.kind = kind
        self.most = self.add_variable((), "ones" if kind == "start" else "zeros", name="most")

    def update_state(self, labels, predictions, sample_weight=None):
        del labels
        values = {
            "max": lambda: tf.maximum(self.most, tf.reduce_max(predictions)),
            "last": lambda: tf.reduce_mean(predictions),
            "means": lambda: self.most + tf.reduce_mean(predictions),
            "start": lambda: self.most + tf.reduce_sum(sample_weight),
            "padding": lambda: self.most + tf.reduce_sum(predictions),
            "bug": lambda: self.most + tf.matmul(predictions, predictions),
        }
        self.most.assign(values[self.kind]())

    def result(self):
        return self.most.value


# Tasks.


class ClassWeights(Supervised):
    def example_weights(self, microbatch):
        return microbatch.weights * tf.gather([0.5, 1.0, 3.0], microbatch[self.label])


class Replaces(Supervised):
    def _losses(self, microbatch, *, training):
        other = dataclasses.replace(microbatch, weights=microbatch.weights * microbatch["weight"])
        return super()._losses(other, training=training)


class MakesAnew(Supervised):
    def _losses(self, microbatch, *, training):
        weights = microbatch.weights * microbatch["weight"]
        other = Microbatch(microbatch.batch, weights, microbatch.step, microbatch.key)
        return super()._losses(other, training=training)


class OtherBatch(Supervised):
    """Replaces examples, and no weights."""

    def _losses(self, microbatch, *, training):
        other = {**microbatch.batch, "x": microbatch["x"]}
        return super()._losses(dataclasses.replace(microbatch, batch=other), training=training)


class Counted(Supervised):
    """Says itself what each loss counts."""

    def _losses(self, microbatch, *, training):
        losses = super()._losses(microbatch, training=training)
        return WeightedLosses(losses, microbatch["weight"])


class Shapes(Supervised):
    """Says shapes, as tasks did before features could be returned."""

    @classmethod
    def model_shapes(cls, features, **names):
        found = super().model_shapes(features, **names)["main"][0]
        return {"main": (tf.nest.map_structure(lambda f: f.shape, found), 3)}


class ByItself(Supervised):
    def train_step(self, replica):
        weights = self.model.trainable_variables
        grads = replica.gradient(lambda m: self._losses(m, training=True), weights)
        self.optimizer.apply_gradients(zip(grads, weights, strict=True))


class NoShapes(Task):
    pass


class ReturnsNoShapes(Task):
    @classmethod
    def model_shapes(cls, features):
        del features


class NoStep(Task):
    @classmethod
    def model_shapes(cls, features):
        return {"main": (features["x"], 3)}


class NoEvaluation(NoStep):
    def train_step(self, replica):
        weights = self.models["main"].trainable_variables
        grads = replica.gradient(lambda m: lost(m["y"], self.models["main"](m["x"])), weights)
        replica.apply(self.optimizers["main"], grads, weights)
