"""What people bring is as in Keras, or is refused by its name and line."""

import json
import re
import subprocess
import sys

import pytest

from tests.parts import brought, brought_layers
from tests.processes import ROOT

PYTHON = "a number that Python makes .*another one when the step is traced again"
FOREIGN = "uses a variable that is no state of the run"
REFUSED = {
    "MakesAWeightInCall": "You cannot add new elements of state",
    "CountsInAList": "assigns counts_in_a_list/c1.*aggregation='mean'.*'sum'",
    "HoldsATensorFlowVariable": FOREIGN,
    "HoldsAModule": FOREIGN,
    "HoldsAGenerator": "Rng.*draw with keras.random",
    "DrawsByNumPy": PYTHON,
    "DrawsByAHeldGeneratorOfNumPy": PYTHON,
    "DrawsByAnUnseededGenerator": PYTHON,
    "DrawsByPython": PYTHON,
    "DecidesByPython": "draws from the generator of Python|another one when it is traced again",
    "ReadsAClock": PYTHON,
    "CountsInPython": PYTHON,
    "DrawsByTensorFlow": "RandomStandardNormal .*draw with keras.random",
    "DrawsInALoop": "inside a loop or a condition.*draw before it",
    "AssignsInACondition": "in true_fn is accessed from false_fn",
    "FillsATable": "LookupTableInsert.*fill the table before training",
    "HoldsAMetric": "assigns inside/total",
    "lambda_of_tensorflow": "RandomStandardNormal .*draw with keras.random",
    "stateful_recurrence": "layer 'gru' has stateful=True.*leave it out",
    "WithATensorFlowVariable": FOREIGN,
    "CountsUpdates": PYTHON,
    "AddsNoise": "seed_generator_state, which is no state.*draw without a seed",
    "AddsNoiseOfNumPy": PYTHON,
    "AppliesInTheOldWay": "apply_gradients.*write it as apply",
    "LooksAhead": "is a LooksAhead, which applies other optimizers",
    "UpdatesInACondition": "assigns .*kernel, inside a loop or a condition.*tf.where",
    "with_an_average": "use_ema=True.*config.ema_decay",
    "with_clipping": "global_clipnorm=1.0.*config.optimizer.clip_norm",
    "that_accumulates": "gradient_accumulation_steps=2.*virtual_replicas",
    "with_a_schedule_of_its_own": "does not use the learning rate that it is given",
    "with_a_rate_of_its_own": "does not use the learning rate that it is given",
    "nothing": "is a NoneType, which is no keras.optimizers.Optimizer",
    "of_another_kind": "is a str, which is no keras.optimizers.Optimizer",
    "MakesAnOptimizer": "is given a Adam that the task has made",
    "FollowsInACondition": "assigns .*kernel, inside a loop or a condition.*tf.where",
    "WritesASummary": "WriteSummary.*make a metric of it",
    "TrainsItself": "no run calls TrainsItself.train_step",
    "ComputesItsLoss": "no run calls ComputesItsLoss.compute_loss",
    "CountsInALoss": PYTHON,
    "LossThatLearns": FOREIGN,
    "KeepsAList": "cannot be accessed from here",
}
NAMED = r"^(config\.|layer '|\S+/brought_\w+\.py:\d+: )"
OTHERWISE = {"AddsNoiseWithoutASeed", "ConvertsControlFlow"}  # the plain loop does it not
SAMPLE = [
    "CallsAFunction+DrawsInAFunction",
    "ConvertsControlFlow",
    "checkpointed",
    "DecidesByPython",
    "DrawsInALoop",
    "CountsUpdates",
]


def outcomes(replicas, names):
    command = [sys.executable, "-m", "tests.parts.brought", str(replicas), *names]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = re.sub(r"id=\d+", "id", done.stdout).splitlines()  # of a graph that TensorFlow names
    return {row["name"]: row for row in map(json.loads, lines)}


def check(name, one):
    if name in REFUSED:
        assert re.search(REFUSED[name], one.get("refused", "")), (name, one)
        assert re.search(NAMED, one["refused"]), (name, one)
    else:
        assert one.get("keras", 1.0) <= 1e-5 or (name in OTHERWISE and "digest" in one), (name, one)


def check_all(names):
    one, two = (outcomes(replicas, names) for replicas in (1, 2))
    for name, found in one.items():
        check(name, found)
        for said in ("digest", "refused"):
            assert found.get(said) == two[name].get(said), name
    return set(one)


def test_a_sample_is_as_in_keras_or_refused_on_any_replicas():
    assert check_all(SAMPLE)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_that_is_brought_is_as_in_keras_or_refused_on_any_replicas():
    equal = "+".join(name for name in brought_layers.MADE if name not in REFUSED)
    names = [equal, *(name for name in brought.MADE if name not in equal.split("+"))]
    assert check_all(names) == set(brought.MADE)
