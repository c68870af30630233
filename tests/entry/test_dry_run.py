"""`--dry_run` says what a run would take and touches nothing."""

import json
import os

from tests.processes import trainer
from trainer.run.dry_run import expected_time


def rows(stdout: str) -> dict[str, str]:
    return {line[:30].strip(): line[30:].strip() for line in stdout.splitlines()}


def test_the_plan_of_the_digits(tmp_path):
    shown = trainer(
        f"--workdir={tmp_path / 'run'}",
        "--dry_run",
        "--cpu_replicas=2",
        "--config.model.name=mlp",
        "--config.model.args={}",
        "--config.optimizer_state=sharded",
    )
    assert shown.code == 0, shown.stderr
    plan = rows(shown.stdout)
    assert plan["training examples"] == "1,501"
    assert plan["served"] == "resident (config.dataset.serve=auto)"
    assert plan["microbatches"] == "4 of 8, 2 a replica"
    assert plan["CPU cores of this process"] == str(len(os.sched_getaffinity(0)))
    assert plan["steps"] == "1,408 (30.0 epochs)"
    assert plan["parameters"] == f"{64 * 128 + 128 + 128 * 10 + 10:,}"
    # A multiplication and an addition for each weight, three passes, 32 examples.
    flops = 2 * (64 * 128 + 128 * 10) * 3 * 32
    assert 1 <= float(plan["FLOPs a step"]) / flops < 1.1
    assert float(plan["disk: a checkpoint"].removesuffix(" MiB")) > 0
    assert plan["optimizer state"] == "main: 4 by element, 0 by variable"
    assert plan["memory: optimizer state"] == "0.0 MiB of 0.1 MiB a replica"
    assert "s of CPU" in plan["time"]
    assert not (tmp_path / "run").exists()


def attempt(first_step: int, last_step: int, secs: float) -> dict[str, object]:
    return {
        "first_step": first_step,
        "last_step": last_step,
        "seconds": {"step": secs / 2, "data": secs / 2},
    }


def test_the_time_is_that_of_the_workdir_or_what_the_experiment_says(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("")
    assert expected_time(str(tmp_path), str(own), 100).startswith("not known")
    own.write_text('"""Mine.\n\nTime: 3 s on my machine.\n"""')
    assert expected_time(str(tmp_path), str(own), 100).startswith("3 s on my machine.")
    failed = attempt(0, 0, 0.0)
    (tmp_path / "goodput.json").write_text(json.dumps([failed]))
    assert expected_time(str(tmp_path), str(own), 100).startswith("3 s on my machine.")
    attempts = [attempt(0, 20, 4.0), attempt(10, 40, 6.0), failed]
    (tmp_path / "goodput.json").write_text(json.dumps(attempts))
    assert expected_time(str(tmp_path), str(own), 100).startswith("12 s for 60 steps")


def test_the_step_compiles_for_a_tpu_without_one():
    shown = trainer("--dry_run", "--strategy=tpu", "--assume_topology=2x2")
    assert shown.code == 0, shown.stderr
    assert rows(shown.stdout)["XLA"] == "the step compiles with static shapes"


def test_a_topology_whose_chips_cannot_share_the_microbatches_is_refused():
    shown = trainer("--dry_run", "--strategy=tpu", "--assume_topology=2x4")
    assert shown.code == 78
    assert "8 replicas cannot share" in shown.last_line


DYNAMIC = """
import keras, tensorflow as tf
from trainer.config import PartConfig, TrainConfig

class Selected(keras.layers.Layer):
    def call(self, x):
        return tf.boolean_mask(x, x[:, 0] > 0)

def build(input_shape, num_outputs):
    inputs = keras.Input(input_shape)
    x = Selected()(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(x))

def get_config():
    return TrainConfig(epochs=1, model=PartConfig(f"{__name__}:build"))
"""


def test_a_step_with_dynamic_shapes_is_refused_for_a_tpu(tmp_path):
    (tmp_path / "dynamic.py").write_text(DYNAMIC)
    config = f"--config={tmp_path / 'dynamic.py'}"
    shown = trainer(config, "--dry_run", "--strategy=tpu", "--assume_topology=1x1")
    assert shown.code == 78
    assert "depends on the data" in shown.last_line
