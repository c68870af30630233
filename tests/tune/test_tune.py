"""`tune` measures what is possible here, says what to write, and changes nothing."""

import dataclasses
import itertools
import json
import os
import statistics

import pytest

from tests.processes import trainer
from trainer.config import TrainConfig
from trainer.tune import command
from trainer.tune.command import _measure
from trainer.tune.settings import Measured, Setting, candidates, report

CONFIG = TrainConfig(train_steps=10)
OWN, LOOP, HALF = (
    Setting("graph", "float32", 1),
    Setting("xla_loop", "float32", 2),
    Setting("graph", "bfloat16", 1),
)


def test_the_own_setting_is_measured_first_and_its_precision_before_the_other():
    tried = candidates(dataclasses.replace(CONFIG, precision="bfloat16", intra_op_threads=3), 2)
    assert tried[0] == Setting("graph", "bfloat16", 3)
    assert len(tried) == len(set(tried)) == 3 * 2 * 3
    assert [s.precision for s in tried] == ["bfloat16"] * 9 + ["float32"] * 9


def test_the_report_names_only_the_fields_that_change():
    text = report([Measured(OWN, 100, 1), Measured(LOOP, 250, 2)], CONFIG)
    advice = text[text.index("fastest") :].splitlines()
    assert advice[:3] == [
        "fastest; in the config:",
        "    execution='xla_loop',",
        "    intra_op_threads=2,",
    ]
    assert "precision" not in "".join(advice)
    assert text.splitlines()[1].split() == [
        "xla_loop",
        "float32",
        "2",
        "250",
        "8,000",
        "2.0",
        "s",
        "2.50",
    ]


def test_another_precision_is_offered_apart_from_the_fastest_with_the_same_numbers():
    text = report([Measured(OWN, 100, 1), Measured(HALF, 180, 1)], CONFIG)
    assert "fastest: what the config says" in text
    assert "fastest in bfloat16, other numbers; in the config:\n    precision='bfloat16'," in text


def test_what_cannot_be_measured_stays_in_the_table_with_its_reason():
    text = report([Measured(OWN, 100, 1), Measured(LOOP, reason="needs resident data")], CONFIG)
    assert "xla_loop   float32          2 not measured: needs resident data" in text


def test_a_mode_that_cannot_run_here_is_refused_with_the_reason():
    overrides = [("dataset.serve", "stream"), ("model.name", "mlp"), ("model.args", "{}")]
    # What is to be measured goes before what the user set: else this would be a graph.
    overrides += [("execution", "graph")]
    measured = _measure("digits", overrides, LOOP)
    assert measured.steps_per_second == 0
    assert "needs resident data" in measured.reason


STAMPED = '''
import pathlib, time

import numpy as np
import tensorflow as tf

from trainer import DatasetConfig, PartConfig, TrainConfig
from trainer.engine import audit

audit.audited = lambda traced, state: traced  # a run refuses the Python that takes the time


def loss(y_true, y_pred):
    """Take 10 ms, once a step, and write down when."""

    def wait():
        time.sleep(0.01)
        with pathlib.Path(__file__).with_name("stamps").open("a") as file:
            print(time.monotonic(), file=file)
        return np.float32(0)

    waited = tf.ensure_shape(tf.numpy_function(wait, [], tf.float32), [])
    return tf.reduce_mean(y_pred**2, axis=-1) + waited


def get_config():
    return TrainConfig(
        train_steps=10_000, global_batch_size=8, virtual_replicas=1, execution="graph",
        dataset=DatasetConfig(train_split="train[:64]", eval_split=""), metrics=(),
        model=PartConfig("mlp", {"hidden": [4]}), loss=PartConfig(f"{__name__}:loss"),
    )
'''


def test_steps_a_second_are_those_that_the_steps_themselves_took(tmp_path):
    (tmp_path / "stamped.py").write_text(STAMPED)
    module = ("trainer.tune.measure", "0.3", str(tmp_path / "stamped.py"))
    shown = trainer(module=module)
    assert shown.code == 0, shown.stderr
    stamps = [float(line) for line in (tmp_path / "stamps").read_text().splitlines()]
    took = statistics.median(b - a for a, b in itertools.pairwise(stamps))
    measured = json.loads(shown.stdout)["steps_per_second"]
    assert measured == pytest.approx(1 / took, rel=0.5)  # not of calls, which have many steps


def test_the_command_prints_a_table_within_its_budget(tmp_path):
    shown = trainer(
        "tune", "--budget_secs=0.5", "--config.model.name=mlp", "--config.model.args={}"
    )
    assert shown.code == 0, shown.stderr
    rows = [line for line in shown.stdout.splitlines() if " float32 " in line]
    assert rows[0].split()[0] == "graph"
    assert float(rows[0].split()[3].replace(",", "")) > 0
    assert all("--budget_secs=0.5 were over" in row for row in rows[1:])
    assert "fastest: what the config says" in shown.stdout


def test_the_config_is_that_of_training_and_the_threads_those_of_this_process(monkeypatch):
    asked = []

    def measure(name, overrides, setting):
        asked.append((dict(overrides), setting.intra_op_threads))
        return Measured(setting, 100, 1)

    monkeypatch.setattr(command, "_measure", measure)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        command.main(["--config.train_steps=100"])  # the config says how many epochs
    finally:
        os.sched_setaffinity(0, before)
    assert all(overrides == {"train_steps": "100", "epochs": "0"} for overrides, _ in asked)
    assert {threads for _, threads in asked} == {1}


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        (["--budget_secs=0"], 64, "--budget_secs=0.0 must be above 0"),
        (
            ["--config.dataset.data_dir"],
            64,
            "--config.dataset.data_dir: write --config.FIELD=VALUE",
        ),
        (["--config=digitz"], 78, "digits"),
        (["--config.executio=graph"], 78, "execution"),
    ],
)
def test_a_mistake_is_one_line(args, code, what):
    shown = trainer("tune", *args)
    assert shown.code == code
    assert what in shown.last_line
    assert "Traceback" not in shown.stderr
