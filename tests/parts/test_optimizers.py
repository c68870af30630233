"""Every registered optimizer follows its published rule and takes a schedule."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.parts import reference
from trainer import registry
from trainer.engine.optimizer import build_slots, update
from trainer.optimizers.schedules import Schedule, cosine
from trainer.optimizers.unusable import refuse_unusable

# A power of two: adding it a hundred times in float32 leaves no rounding of its own (Lion).
RATE = 2.0**-10

RATES = Schedule(functools.partial(cosine, learning_rate=0.1, total_steps=10))


def resolve(name):
    return registry.resolve(registry.OPTIMIZERS, name, "optimizer.name")


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_hundred_steps_match_float64_reference(name):
    gradients = reference.gradients()
    variable, optimizer = reference.build(resolve(name)(RATE))
    apply = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    for gradient in gradients:
        apply(tf.constant(gradient, tf.float32))
    expected = reference.run(getattr(reference, name), gradients, learning_rate=RATE)
    assert np.abs(expected - reference.start()).max() > RATE, "the case must move the weights"
    np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_update_in_a_stateless_scope_equals_the_update_in_place(name):
    gradients = [tf.constant(g, tf.float32) for g in reference.gradients(steps=5)]
    in_place, optimizer = reference.build(resolve(name)(1e-2))
    scoped, other = keras.Variable(in_place), resolve(name)(1e-2)
    build_slots(other, [scoped])
    for gradient in gradients:
        optimizer.apply([gradient], [in_place])
        with keras.StatelessScope() as scope:
            update(other, [gradient], [scoped], tf.constant(True))
        for variable in [scoped, *other.variables]:
            if (value := scope.get_current_value(variable)) is not None:
                variable.assign(value)
    for a, b in zip([in_place, *optimizer.variables], [scoped, *other.variables], strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-6, err_msg=a.path)


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_takes_a_schedule_and_survives_its_config(name):
    schedule = Schedule(functools.partial(cosine, learning_rate=0.1, total_steps=10))
    optimizer = resolve(name)(schedule)
    copy = type(optimizer).from_config(optimizer.get_config())
    variable, copy = reference.build(copy)
    copy.apply([tf.ones(variable.shape)], [variable])
    assert float(copy.learning_rate) == float(schedule(1)) < 0.1


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
def test_update_compiles_under_xla(name):
    variable, optimizer = reference.build(resolve(name)(1e-3))
    before = variable.numpy()
    apply = tf.function(lambda g: optimizer.apply([g], [variable]), jit_compile=True)
    apply(tf.ones(variable.shape))
    assert np.all(variable.numpy() < before)


@pytest.mark.parametrize(
    ("argument", "use"),
    [
        ("clipnorm", "config.optimizers.critic.clip_norm"),
        ("global_clipnorm", "critic.clip_norm"),
        ("clipvalue", "critic.clip_norm"),
        ("gradient_accumulation_steps", "virtual_replicas"),
        ("loss_scale_factor", "precision"),
        ("use_ema", "config.ema_decay"),
    ],
)
def test_arguments_that_act_per_replica_are_refused(argument, use):
    made = keras.optimizers.Adam(RATES, **{argument: 2})
    with pytest.raises(RunError) as caught:
        refuse_unusable(made, RATES, "config.optimizers.critic")
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert argument in caught.value.reason
    assert use in caught.value.reason


@pytest.mark.parametrize(
    "around",
    [
        keras.optimizers.LossScaleOptimizer,
        lambda inner: keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(inner)),
    ],
)
def test_an_optimizer_around_another_is_refused_by_name(around):
    made = around(keras.optimizers.SGD(0.1))
    with pytest.raises(RunError, match=r"config.optimizer is a (LossScale|Multi)Optimizer"):
        refuse_unusable(made, RATES, "config.optimizer")


def test_other_arguments_pass():
    refuse_unusable(keras.optimizers.AdamW(RATES, weight_decay=0.01), RATES, "config.optimizer")


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_momentum_written_as_an_integer_is_taken(name):
    assert resolve(name)(0.1, momentum=1).momentum == 1.0
