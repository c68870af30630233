"""Tasks that hold, draw, read and assign in every way; `tests.engine.train_owned` trains them."""

import keras
import numpy as np
import tensorflow as tf

from trainer.data.info import Feature
from trainer.tasks.supervised import Supervised

STEPS, BATCH, V = 3, 8, 4
MICROBATCHES = STEPS * V
FEATURES = {"x": Feature((4,), "float32"), "y": Feature((1,), "float32")}
CASES = {}


def case(kind):
    CASES[kind.__name__] = kind
    return kind


class Base(Supervised):
    """Sees the number of the microbatch in the first input; `seen` is what the test looks at."""

    def __init__(self, parts):
        super().__init__(parts, input="x", label="y")
        self.seen = keras.Variable(np.zeros(self.shape()), trainable=False, aggregation="sum")
        self.hold()

    def shape(self):
        return [MICROBATCHES]

    @classmethod
    def model_shapes(cls, features):
        return super().model_shapes(features, input="x", label="y")

    def hold(self):
        pass

    def see(self, value):
        place = tf.one_hot(tf.cast(self.now["x"][0, 0], tf.int32), MICROBATCHES)
        self.seen.assign_add(place * value)

    def _losses(self, microbatch, *, training):
        if training:
            self.now = microbatch
            self.inside()
        return super()._losses(microbatch, training=training)

    def inside(self):
        pass


@case
class UnseededDraw(Base):
    def inside(self):
        self.see(keras.random.uniform([]))


@case
class HeldGenerator(Base):
    def hold(self):
        self.generator = {"deep": [keras.random.SeedGenerator(3)]}

    def inside(self):
        self.see(keras.random.uniform([], seed=self.generator["deep"][0]))


@case
class HeldDropout(Base):
    def hold(self):
        self.drop = keras.layers.Dropout(0.5)

    def inside(self):
        dropped = self.drop(tf.range(1.0, 65.0), training=True)
        self.see(tf.reduce_sum(dropped))


@case
class DrawnInTheStep(Base):
    def shape(self):
        return [STEPS]

    def train_step(self, replica):
        place = tf.one_hot(tf.cast(self.optimizer.iterations, tf.int32), STEPS)
        self.seen.assign_add(place * keras.random.uniform([]))
        super().train_step(replica)


@case
class HeldVariable(Base):
    def shape(self):
        return []

    def train_step(self, replica):
        self.seen.assign_add(1.0)
        super().train_step(replica)


@case
class AddedUp(Base):
    def shape(self):
        return []

    def inside(self):
        self.seen.assign_add(1.0)


@case
class Averaged(Base):
    """Microbatch m of a step proposes its number: the mean of 4 t .. 4 t + 3."""

    def shape(self):
        return [STEPS]

    def hold(self):
        self.mean = keras.Variable(0.0, trainable=False, aggregation="mean")

    def inside(self):
        self.mean.assign(self.now["x"][0, 0])

    def train_step(self, replica):
        super().train_step(replica)
        place = tf.one_hot(tf.cast(self.optimizer.iterations, tf.int32) - 1, STEPS)
        self.seen.assign_add(place * self.mean.value)


@case
class HeldMetric(Base):
    def hold(self):
        self.mine = keras.metrics.Mean(name="mine")

    def inside(self):
        self.mine.update_state(1.0)
        assert "mine" in self.metrics


@case
class HeldTensorFlowVariable(Base):
    def hold(self):
        self.count = tf.Variable(0.0)


@case
class ForeignTensorFlowVariable(Base):
    def hold(self):
        foreign = tf.Variable(1.0)
        self.read = foreign.read_value

    def inside(self):
        self.see(self.read())


@case
class ForeignAssignment(Base):
    def hold(self):
        foreign = tf.Variable(1.0)
        self.write = lambda: foreign.assign_add(1.0)

    def train_step(self, replica):
        self.write()
        super().train_step(replica)


@case
class ForeignKerasVariable(Base):
    def hold(self):
        foreign = keras.Variable(1.0)
        self.write = lambda: foreign.assign(2.0)

    def train_step(self, replica):
        self.write()
        super().train_step(replica)


@case
class ForeignGenerator(Base):
    def hold(self):
        foreign = keras.random.SeedGenerator(1)
        self.draw = lambda: keras.random.uniform([], seed=foreign)

    def inside(self):
        self.see(self.draw())


@case
class TensorFlowGenerator(Base):
    def hold(self):
        self.generator = tf.random.Generator.from_seed(1)

    def inside(self):
        self.see(self.generator.uniform([]))


@case
class GlobalRandom(Base):
    def inside(self):
        tf.random.set_seed(1)  # as TensorFlow's own message advises
        self.see(tf.random.uniform([]))


@case
class PythonInside(Base):
    def inside(self):
        value = tf.numpy_function(lambda: np.float32(1.0), [], tf.float32)
        self.see(tf.ensure_shape(value, []))


@case
class PythonCounter(Base):
    def hold(self):
        self.count = 0

    def train_step(self, replica):
        self.count += 1
        super().train_step(replica)


@case
class AssignsATrainedWeight(Base):
    def inside(self):
        self.model.trainable_variables[0].assign(self.model.trainable_variables[0] * 0.5)


@case
class AssignsPastKeras(Base):
    def train_step(self, replica):
        super().train_step(replica)
        variable = self.model.trainable_variables[0].value
        tf.raw_ops.AssignVariableOp(resource=self.handle(), value=tf.zeros(variable.shape))

    def handle(self):
        return self.model.trainable_variables[0]._value.handle


@case
class UndeclaredState(Base):
    def hold(self):
        self.count = keras.Variable(0.0, trainable=False)

    def inside(self):
        self.count.assign_add(1.0)


@case
class MeanOfIntegers(Base):
    def hold(self):
        self.count = keras.Variable(0, dtype="int32", trainable=False, aggregation="mean")

    def inside(self):
        self.count.assign_add(1)


@case
class AssignsInEvaluation(Base):
    def eval_step(self, microbatch):
        self.now = microbatch
        self.see(1.0)
        return super().eval_step(microbatch)


@case
class MetricOutside(Base):
    def hold(self):
        self.mine = keras.metrics.Mean(name="mine")

    def train_step(self, replica):
        super().train_step(replica)
        self.mine.update_state(1.0)


@case
class UpdatesAStranger(Base):
    def hold(self):
        self.extra = keras.Variable(1.0)

    def train_step(self, replica):
        grads = replica.gradient(lambda m: self.extra * m["x"][:, 0], [self.extra])
        replica.apply(self.optimizer, grads, [self.extra])


@case
class NoGradient(Base):
    def _losses(self, microbatch, *, training):
        return tf.stop_gradient(super()._losses(microbatch, training=training))
