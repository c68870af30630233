"""What a loss spike is: the formula, from its first update on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig
from trainer.optimizers.loss_spike import LossSpike


def _judge(guard: LossSpike, losses: list[float]) -> list[int]:
    """Give the losses one after another, as a step does; return the places of spikes."""
    spikes = []
    for place, loss in enumerate(losses):
        value = tf.constant(loss, tf.float32)
        if bool(guard.is_spike(value)):
            spikes.append(place)
        else:
            guard.update(value)
    return spikes


def test_the_mean_follows_its_formula_and_spikes_do_not_move_it() -> None:
    guard, losses = LossSpike(2.0), list(np.random.default_rng(0).uniform(0.9, 1.1, 600))
    mean = 0.0
    for n, loss in enumerate(losses):
        decay = min(0.98, (1 + n) / (10 + n))
        mean = decay * mean + (1 - decay) * loss
    assert _judge(guard, [*losses, 2.0 * mean * 1.001, 2.0 * mean * 0.999]) == [600]
    state = {name: v.numpy() for name, v in guard.state()}
    decay = 0.98
    assert state["mean"] == pytest.approx(decay * mean + (1 - decay) * 2 * mean, rel=1e-3)
    assert state["updates"] == 601


def test_the_first_updates_may_jump() -> None:
    losses = [1.0] * 30
    losses[19] = losses[20] = 1000.0
    assert _judge(LossSpike(3.0), losses[:20]) == []
    losses[19] = 1.0
    assert _judge(LossSpike(3.0), losses) == [20]


def test_a_mean_that_is_not_positive_has_no_spikes() -> None:
    assert _judge(LossSpike(3.0), [*[-1.0] * 30, 5.0]) == []


def test_in_a_scope_nothing_is_written() -> None:
    guard = LossSpike(3.0)
    with keras.StatelessScope():
        guard.update(tf.constant(7.0))
    assert [float(v.numpy()) for _, v in guard.state()] == [0.0, 0.0]


@pytest.mark.parametrize("factor", [1.0, 0.5, -2.0, float("inf")])
def test_a_factor_that_makes_no_sense_is_refused(factor: float) -> None:
    with pytest.raises(RunError, match=r"config\.loss_spike=.* must be above 1") as raised:
        TrainConfig(train_steps=1, loss_spike=factor)
    assert raised.value.code is ExitCode.BAD_CONFIG
