"""Tasks, losses and models as people bring them."""

import keras
import tensorflow as tf

from tests.keras_parts.cases import Compared

# ruff: noqa: ARG002 - what Keras hands over
MADE = {}


def made(make):
    MADE[make.__name__] = make
    return make


@made
class MakesAnOptimizer(Compared):
    def __init__(self, parts):
        super().__init__(parts)
        self.mine = keras.optimizers.Adam(0.1)

    def train_step(self, replica):
        weights = self.model.trainable_variables
        grads = replica.gradient(lambda m: self._losses(m, training=True), weights)
        replica.apply(self.mine, grads, weights)


class Teacher(Compared):
    """Holds a second model, which follows the first."""

    def __init__(self, parts):
        super().__init__(parts)
        self.teacher = keras.models.clone_model(self.model)


@made
class Follows(Teacher):
    def train_step(self, replica):
        super().train_step(replica)
        for mine, other in zip(self.teacher.variables, self.model.variables, strict=True):
            mine.assign(0.9 * mine + 0.1 * other)


@made
class FollowsInACondition(Teacher):
    def train_step(self, replica):
        super().train_step(replica)
        for mine, other in zip(self.teacher.variables, self.model.variables, strict=True):
            tf.cond(
                tf.equal(tf.convert_to_tensor(self.optimizer.iterations) % 2, 0),
                lambda mine=mine, other=other: mine.assign(other) is None,
                lambda: True,
            )


@made
class FollowsWhere(Teacher):
    def train_step(self, replica):
        super().train_step(replica)
        is_due = tf.equal(tf.convert_to_tensor(self.optimizer.iterations) % 2, 0)
        for mine, other in zip(self.teacher.variables, self.model.variables, strict=True):
            mine.assign(tf.where(is_due, other.value, mine.value))


@made
class WritesASummary(Compared):
    def _losses(self, microbatch, *, training):
        losses = super()._losses(microbatch, training=training)
        with tf.summary.create_file_writer("/tmp/summary").as_default():
            tf.summary.scalar("loss", tf.reduce_mean(losses), step=0)
        return losses


@made
class Prints(Compared):
    def _losses(self, microbatch, *, training):
        losses = super()._losses(microbatch, training=training)
        tf.print("loss", tf.reduce_mean(losses))
        return losses


@made
class LossIsAFunction(Compared):
    @tf.function
    def _losses(self, microbatch, *, training):
        return super()._losses(microbatch, training=training)


@made
class ConvertsControlFlow(Compared):
    """Only AutoGraph makes a condition of TensorFlow of its `if`."""

    @tf.function
    def _losses(self, microbatch, *, training):
        losses = super()._losses(microbatch, training=training)
        if tf.reduce_mean(losses) > 1.0:
            losses = losses * 0.5
        return losses


class Steps(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(3)

    def call(self, x):
        return self.out(x)


@made
class TrainsItself(Steps):
    def train_step(self, data):
        return {}


@made
class ComputesItsLoss(Steps):
    def compute_loss(self, **_):
        return 0.0


@made
class CountsInALoss(keras.losses.Loss):
    count = 0

    def call(self, labels, predictions):
        self.count += 1
        return tf.reduce_mean((labels - predictions) ** 2, -1) * self.count


@made
class LossThatLearns(keras.losses.Loss):
    def __init__(self):
        super().__init__()
        self.scale = keras.Variable(1.0)

    def call(self, labels, predictions):
        return tf.reduce_mean((labels - predictions) ** 2, -1) * self.scale


class Metric(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name=type(self).__name__)


@made
class Several(Metric):
    """Holds metrics, in a list, too."""

    def __init__(self):
        super().__init__()
        self.error = keras.metrics.MeanSquaredError()
        self.others = [keras.metrics.MeanAbsoluteError(), keras.metrics.R2Score()]

    def update_state(self, labels, predictions, sample_weight=None):
        for metric in (self.error, *self.others):
            metric.update_state(labels, predictions, sample_weight=sample_weight)

    def result(self):
        return {metric.name: metric.result() for metric in (self.error, *self.others)}


@made
class KeepsAList(Metric):
    def __init__(self):
        super().__init__()
        self.seen = []

    def update_state(self, labels, predictions, sample_weight=None):
        self.seen.append(tf.reduce_mean((labels - predictions) ** 2))

    def result(self):
        return tf.reduce_mean(self.seen)


@made
def wrapped():
    return keras.metrics.MeanMetricWrapper(lambda a, b: tf.reduce_mean(abs(a - b), -1), name="w")
