"""What a task holds is state, what it draws is its own, and all else is refused by name."""

import json
import re
import subprocess
import sys

import pytest

from tests.engine import owned
from tests.processes import ROOT

REFUSED = {
    "HeldTensorFlowVariable": "task.count is a tf.Variable",
    "ForeignTensorFlowVariable": "owned.py:.*ReadVariableOp uses a variable that is no state",
    "ForeignAssignment": "owned.py:.*AssignAddVariableOp.*keras.Variable.assign",
    "ForeignKerasVariable": "owned.py:.*assigns .*no state of the run; assign it to an attribute",
    "ForeignGenerator": "owned.py:.*seed_generator_state, which is no state",
    "TensorFlowGenerator": "owned.py:.*Rng.*draw with keras.random",
    "GlobalRandom": "owned.py:.*RandomUniform.*microbatch.seed",
    "PythonInside": "owned.py:.*PyFunc.*data function",
    "PythonCounter": "self.count, which was 0.*self.count = keras.Variable",
    "AssignsATrainedWeight": "owned.py:.*dense/kernel, which is trained",
    "AssignsPastKeras": "owned.py:.*AssignVariableOp.*keras.Variable.assign",
    "UndeclaredState": "owned.py:.*aggregation='mean'.*'sum'",
    "MeanOfIntegers": "owned.py:.*int32 has no mean",
    "AssignsInEvaluation": "evaluation assigns .*training=True",
    "UpdatesAStranger": "'main' is applied, but variable_.* not among the variables of its model",
    "NoGradient": "depends on none of the variables.*stop_gradient",
}


def outcomes(replicas, execution="graph"):
    command = [sys.executable, "-m", "tests.engine.train_owned", str(replicas), execution]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found():
    return outcomes(1)


@pytest.mark.parametrize("name", ["UnseededDraw", "HeldGenerator", "HeldDropout", "DrawnInTheStep"])
def test_each_microbatch_and_step_draws_other_numbers(found, name):
    assert len(set(found[name])) == len(found[name]) == (3 if name == "DrawnInTheStep" else 12)


def test_what_is_held_is_assigned_averaged_and_added_up(found):
    assert found["HeldVariable"] == owned.STEPS
    assert found["AddedUp"] == owned.STEPS * owned.V
    assert found["Averaged"] == [1.5, 5.5, 9.5]
    assert found["HeldMetric"] == [0.0] * owned.MICROBATCHES
    assert found["MetricOutside"] == [0.0] * owned.MICROBATCHES


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_state_of_the_run_is_refused_by_name_and_line(found, name):
    assert isinstance(found[name], str), found[name]
    assert found[name].startswith("78: ")
    assert re.search(REFUSED[name], found[name]), found[name]


def test_every_case_is_judged(found):
    assert set(found) == set(owned.CASES)


def test_two_replicas_say_the_same(found):
    there = outcomes(2)
    assert "aggregation=MEAN and a non-floating" in there.pop("MeanOfIntegers")
    assert there == {name: value for name, value in found.items() if name != "MeanOfIntegers"}


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_compiled_steps_refuse_the_same_and_keep_the_same(found, replicas):
    compiled = outcomes(replicas, "xla_step")
    draws = {"UnseededDraw", "HeldGenerator", "HeldDropout"}
    assert all(len(set(compiled[name])) == len(found[name]) for name in draws)
    kept = {n: v for n, v in found.items() if not isinstance(v, str) and n not in draws}
    assert {n: compiled[n] for n in kept} == kept
    assert {n for n, v in compiled.items() if isinstance(v, str)} >= set(REFUSED)
