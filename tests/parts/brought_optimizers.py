"""Optimizers as people bring them: functions of a learning rate."""

import keras
import numpy as np
import tensorflow as tf

# ruff: noqa: ARG002 - what Keras hands over
MADE = {}


def made(make):
    MADE[make.__name__] = make
    return make


class Momentum(keras.optimizers.Optimizer):
    """Keeps a slot for each weight."""

    def build(self, variables):
        super().build(variables)
        self.slots = [self.add_variable_from_reference(v, name="slot") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        slot = self.slots[self._get_variable_index(variable)]
        self.assign(slot, 0.9 * slot + gradient)
        self.assign_sub(variable, keras.ops.cast(learning_rate, variable.dtype) * slot)


@made
def with_slots(rate):
    return Momentum(rate)


@made
class WithAVariableOfItsOwn(Momentum):
    def __init__(self, learning_rate):
        super().__init__(learning_rate)
        self.scale = keras.Variable(1.0, trainable=False)

    def update_step(self, gradient, variable, learning_rate):
        self.assign(self.scale, self.scale * 0.9)
        super().update_step(gradient * self.scale, variable, learning_rate)


@made
class WithATensorFlowVariable(Momentum):
    def __init__(self, learning_rate):
        super().__init__(learning_rate)
        self.scale = tf.Variable(1.0, trainable=False)

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient * self.scale, variable, learning_rate)


@made
class CountsUpdates(Momentum):
    count = 0

    def update_step(self, gradient, variable, learning_rate):
        self.count += 1
        super().update_step(gradient / self.count, variable, learning_rate)


@made
class AddsNoise(Momentum):
    def __init__(self, learning_rate):
        super().__init__(learning_rate)
        self.seed = keras.random.SeedGenerator(1)

    def update_step(self, gradient, variable, learning_rate):
        noise = keras.random.normal(gradient.shape, seed=self.seed)
        super().update_step(gradient + noise, variable, learning_rate)


@made
class AddsNoiseWithoutASeed(Momentum):
    def update_step(self, gradient, variable, learning_rate):
        noise = keras.random.normal(gradient.shape)
        super().update_step(gradient + noise, variable, learning_rate)


@made
class AddsNoiseOfNumPy(Momentum):
    def update_step(self, gradient, variable, learning_rate):
        noise = np.random.normal(size=gradient.shape)
        super().update_step(gradient + noise, variable, learning_rate)


@made
class CentersGradients(keras.optimizers.SGD):
    def apply(self, grads, trainable_variables=None):
        centered = [g - keras.ops.mean(g) for g in grads]
        super().apply(centered, trainable_variables)


@made
class AppliesInTheOldWay(keras.optimizers.SGD):
    def apply_gradients(self, grads_and_vars):
        super().apply_gradients([(g * 0.5, v) for g, v in grads_and_vars])


@made
class LooksAhead(keras.optimizers.Optimizer):
    def __init__(self, learning_rate):
        super().__init__(learning_rate)
        self.inner = keras.optimizers.Adam(learning_rate)

    def build(self, variables):
        super().build(variables)
        self.inner.build(variables)

    def update_step(self, gradient, variable, learning_rate):
        self.inner.update_step(gradient, variable, learning_rate)


@made
class UpdatesOnlySometimes(keras.optimizers.SGD):
    """Uses the count of the updates that Keras keeps."""

    def update_step(self, gradient, variable, learning_rate):
        is_even = keras.ops.equal(self.iterations % 2, 0)
        super().update_step(keras.ops.where(is_even, gradient, 0.0), variable, learning_rate)


@made
class UpdatesInACondition(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        tf.cond(
            tf.equal(tf.convert_to_tensor(self.iterations) % 2, 0),
            lambda: self.assign_sub(variable, gradient) or 0,
            lambda: 0,
        )


@made
class AssignsByItself(keras.optimizers.SGD):
    """Without `self.assign`."""

    def update_step(self, gradient, variable, learning_rate):
        variable.assign(variable - 0.1 * gradient)


@made
def with_an_average(rate):
    return keras.optimizers.Adam(rate, use_ema=True)


@made
def with_clipping(rate):
    return keras.optimizers.Adam(rate, global_clipnorm=1.0)


@made
def that_accumulates(rate):
    return keras.optimizers.Adam(rate, gradient_accumulation_steps=2)


@made
def with_a_schedule_of_its_own(rate):
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))


@made
def with_a_rate_of_its_own(rate):
    return keras.optimizers.SGD(0.1)


@made
def with_weight_decay(rate):
    return keras.optimizers.SGD(rate, weight_decay=0.1, momentum=0.9, nesterov=True)


@made
def nothing(rate):
    return None


@made
def of_another_kind(rate):
    return "adam"
