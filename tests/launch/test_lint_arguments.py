"""What the trainer says to a command line that is only linted."""

import json
import subprocess
import sys

import pytest
from plant import load, plant, swap_all, with_

from launch.lint.arguments import check_arguments

BOX = "spec.template.spec.containers.0"
TWO = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
# Arguments, environment, what the refusal names ("" for none), virtual replicas.
LINES = [
    (["--config=digits", "--workdir=/x"], {}, "", 4),
    (["--config=digits", "--workdir", "/x", "--config.virtual_replicas=8"], {}, "", 8),
    (["--config=digits"], {}, "--workdir is missing", 0),
    (["--config=digtis", "--workdir=/x"], {}, "did you mean 'digits'?", 0),
    (["--config=/code/mine.py", "--workdir=/x"], {}, "", 0),
    (["--config=digits", "--wrkdir=/x"], {}, "'wrkdir'", 0),
    (["--config=digits", "--workdir=/x", "word"], {}, "'word' is not a flag", 0),
    (["--config=digits", "--workdir=/x", "--config.epochs=-1"], {}, "config.epochs=-1", 0),
    (["--config=digits", "--workdir=/x", "--strategy=cpu"], {"TF_CONFIG": TWO}, "2 workers", 4),
    (["--config=digits", "--workdir=/x", "--config.model.name=mpl"], {}, "'mlp'", 4),
]


def test_every_line_is_judged_as_a_run_would_judge_it_without_tensorflow():
    program = "import runpy, sys; runpy.run_module('trainer.run.refusals', run_name='__main__')"
    program += "; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    asked = json.dumps([{"args": args, "env": env} for args, env, _, _ in LINES])
    done = subprocess.run(
        [sys.executable, "-c", program], input=asked, capture_output=True, text=True, check=True
    )
    for answer, (args, _, said, virtual) in zip(json.loads(done.stdout), LINES, strict=True):
        assert said in answer["refusal"], args
        assert bool(answer["refusal"]) == bool(said), args
        assert answer["virtual_replicas"] == virtual, args


@pytest.mark.parametrize("base", ["gpu-1", "sweep", "tpu-v5e-slice", "torchrun"])
def test_nothing_is_said_of_arguments_that_a_run_takes(base):
    assert list(check_arguments(load(base))) == []


def test_the_refusal_names_the_item_that_is_refused():
    planted = plant(load("gpu-1"), "Job", f"{BOX}.args", with_("--config.epochs=-1"))
    [found] = check_arguments(planted)
    assert found.where == "Job/gpu-1 spec.template.spec.containers[0].args[3]"
    assert "the trainer refuses its arguments: config.epochs=-1.0" in found.problem


def test_virtual_replicas_are_divided_by_the_devices_of_all_workers():
    planted = plant(load("gpu-4x8"), "Job", f"{BOX}.args", swap_all("=32", "=16"))
    [found] = check_arguments(planted)
    assert "over the 32 replicas" in found.problem
    assert found.fix.startswith("use 32,")


def test_a_value_that_only_the_pod_knows_is_not_judged():
    planted = plant(load("gpu-1"), "Job", f"{BOX}.args", with_("--config.seed=$(SEED)"))
    assert list(check_arguments(planted)) == []
