"""Learning rates against their formulas, as Keras takes them, and compiled."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import registry
from trainer.optimizers.schedules import (
    Schedule,
    constant,
    cosine,
    exponential,
    takes_end,
    warmup,
)

STEPS = (0, 1, 37, 50, 99, 100, 250)
FORMULAS = {
    "constant": lambda _: 0.2,
    "exponential": lambda t: 0.2 * 0.1 ** (t / 100),
    "cosine": lambda t: 0.1 * (1 + math.cos(math.pi * min(t, 100) / 100)),
}


def bind(name, **args):
    fn = registry.resolve(registry.SCHEDULES, name, "schedule.name")
    end = {"total_steps": 100} if takes_end(fn) else {}
    return functools.partial(fn, learning_rate=0.2, **end, **args)


def values(fn, steps=STEPS):
    return [float(fn(tf.constant(step, tf.int64))) for step in steps]


@pytest.mark.parametrize("name", registry.SCHEDULES)
def test_rate_follows_its_formula(name):
    expected = [FORMULAS[name](step) for step in STEPS]
    np.testing.assert_allclose(values(bind(name)), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", registry.SCHEDULES)
def test_rate_compiles_under_xla_to_a_float32_scalar(name):
    schedule = Schedule(warmup(bind(name), 10), keras.Variable(0.5, trainable=False))
    compiled = tf.function(schedule, jit_compile=True)(tf.constant(37, tf.int64))
    assert compiled.dtype == tf.float32
    assert compiled.shape.rank == 0
    np.testing.assert_allclose(compiled, 0.5 * FORMULAS[name](37), rtol=1e-5)


def test_exponential_takes_its_own_period():
    fn = bind("exponential", decay_rate=0.5, decay_steps=10)
    np.testing.assert_allclose(values(fn, (10, 20)), [0.1, 0.05], rtol=1e-6)


def test_cosine_ends_at_the_final_fraction():
    fn = bind("cosine", final_fraction=0.1)
    np.testing.assert_allclose(values(fn, (0, 50, 100, 101)), [0.2, 0.11, 0.02, 0.02], rtol=1e-5)


@pytest.mark.parametrize("name", registry.SCHEDULES)
def test_warmup_rises_linearly_and_then_leaves_the_schedule_alone(name):
    fn, steps = bind(name), range(20)
    ramp = np.minimum(1.0, (np.arange(20) + 1) / 8)
    expected = np.array(values(fn, steps)) * ramp
    np.testing.assert_allclose(values(warmup(fn, 8), steps), expected, rtol=1e-6)


def test_lowering_the_scale_lowers_the_optimizers_rate():
    scale = keras.Variable(1.0, trainable=False)
    optimizer = keras.optimizers.SGD(Schedule(bind("constant"), scale))
    scale.assign(0.25)
    np.testing.assert_allclose(float(optimizer.learning_rate), 0.05)


def test_scale_is_read_from_a_stateless_scope():
    scale = keras.Variable(1.0, trainable=False)
    with keras.StatelessScope([(scale, tf.constant(0.5))]):
        rate = Schedule(bind("constant"), scale)(tf.constant(0, tf.int64))
    np.testing.assert_allclose(rate, 0.1)


@pytest.mark.parametrize("fn", [constant, cosine, exponential])
def test_config_round_trip_keeps_function_and_arguments(fn):
    end = {"total_steps": 50} if takes_end(fn) else {}
    partial = functools.partial(fn, learning_rate=0.3, **end)
    schedule = Schedule(warmup(partial, 5))
    config = keras.optimizers.schedules.serialize(schedule)
    copy = keras.optimizers.schedules.deserialize(config)
    assert values(copy) == values(schedule)
