"""No number is drawn twice: a key for each (seed, step, microbatch, call), a seed a generator."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from common.exit_codes import ExitCode, RunError
from tests.engine import numpy_step as independent
from trainer.engine import virtual_replica
from trainer.engine.forward_step import make_eval_step
from trainer.engine.optimizer import build_slots
from trainer.engine.step import Microbatches, StepPlan, make_train_step
from trainer.task import Parts, Task

MOST_CALLS = independent.EVALUATION
"""In one step; what would be the next one is evaluation."""
SEEDS, STEPS = (0, 1), (0, 1)
V, NUM_CALLS, GENERATORS = 3, 2, 3


class Listening(Task):
    """Asks for several gradients a step, and notes key and seeds of every microbatch."""

    num_calls = NUM_CALLS

    def __init__(self, parts):
        super().__init__(parts)
        self.heard = []

    def train_step(self, replica):
        for call in range(self.num_calls):
            replica.gradient(lambda microbatch, call=call: self.losses(microbatch, call), [])

    def eval_step(self, microbatch):
        return self.losses(microbatch, "evaluation")

    def losses(self, microbatch, call):
        generators = [layer.seed_generator for layer in self.models["main"].layers]
        seeds = [tuple(g.state.value.numpy().tolist()) for g in generators]
        self.heard.append((call, tuple(microbatch.key.numpy().tolist()), seeds))
        return tf.zeros_like(microbatch.weights)


@pytest.fixture(scope="module")
def task():
    layers = [keras.layers.Dropout(0.5) for _ in range(GENERATORS)]
    model = keras.Sequential([keras.Input((1,)), *layers])
    optimizer = keras.optimizers.SGD(0.1)
    build_slots(optimizer, [])
    return Listening(Parts({"main": model}, {"main": optimizer}, {}, None, None))


@pytest.fixture
def eager(monkeypatch):
    """Run microbatches outside of graphs, where keys are numbers."""

    def one_by_one(microbatch_fn, values, inputs, step, *, compiled):
        del compiled
        only = microbatch_fn(values, tf.nest.map_structure(lambda x: x[0], inputs), step)
        return tf.nest.map_structure(lambda x: x[tf.newaxis], only)

    monkeypatch.setattr(virtual_replica, "map_microbatches", one_by_one)


def hear(task, execution):
    """Return (seed, step, microbatch, call) -> (key, seeds of generators), as they were seen."""
    heard = {}
    for seed, step, microbatch in itertools.product(SEEDS, STEPS, range(V)):
        plan = StepPlan(seed, V, "exact", execution, {})
        numbers = tf.constant(microbatch, tf.int64), tf.constant(step, tf.int64)
        microbatches = Microbatches({}, tf.ones([1, 2]), *numbers)
        task.heard.clear()
        make_train_step(task, plan)(microbatches)
        make_eval_step(task, plan)(microbatches)
        heard |= {(seed, step, microbatch, call): found for call, *found in task.heard}
    return heard


@pytest.mark.parametrize("execution", ["graph", "xla_step", "xla_loop"])
def test_no_two_draws_of_a_run_or_of_two_seeds_share_a_key(task, eager, execution):
    heard = hear(task, execution)
    assert len(heard) == len(SEEDS) * len(STEPS) * V * (NUM_CALLS + 1)
    assert len({key for key, _ in heard.values()}) == len(heard)
    drawn = [seed for _, seeds in heard.values() for seed in seeds]
    assert len(set(drawn)) == len(drawn) == len(heard) * GENERATORS
    if execution != "graph":  # a program takes them from its own hash
        for key, seeds in heard.values():
            np.testing.assert_array_equal(seeds, independent.hashed_bits(key, (GENERATORS, 2)))


PLACES = st.tuples(
    st.integers(0, 2**31 - 1), st.integers(0, 2**40), st.integers(0, 7), st.integers(0, MOST_CALLS)
)


@settings(max_examples=100, deadline=None, database=None)
@given(PLACES, PLACES)
def test_other_places_have_other_keys(one, other):
    assert (key_of(*one) == key_of(*other)) == (one == other)


def key_of(seed, step, microbatch, call):
    first = tf.constant(microbatch, tf.int64)
    microbatches = Microbatches({}, tf.ones([1, 1]), first, tf.constant(step, tf.int64))
    *_, key = microbatches.inputs(StepPlan(seed, 8, "exact", "graph", {}), call)
    return key.numpy().tolist()


def test_more_gradients_than_there_are_keys_are_refused(task, eager, monkeypatch):
    monkeypatch.setattr(task, "num_calls", MOST_CALLS + 1)
    plan, zero = StepPlan(0, 1, "exact", "graph", {}), tf.constant(0, tf.int64)
    task.heard.clear()
    with pytest.raises(RunError, match=r"64 gradients in one step.*at most 63") as caught:
        make_train_step(task, plan)(Microbatches({}, tf.ones([1, 2]), zero, zero))
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert len({key for _, key, _ in task.heard}) == MOST_CALLS
