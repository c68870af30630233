"""Kernels that every x86-64 with AVX2 has: what a run computes with them, and what it refuses."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import kernels
from tests.processes import ROOT, SHORT, summary, trainer
from trainer import version

PORTABLE = "--config.kernels=portable"
EXPERIMENT = """
import tensorflow as tf
from trainer import DatasetConfig, PartConfig, TrainConfig
{head}
def loss(y_true, y_pred):
    return tf.math.reciprocal(1 + tf.reduce_sum(tf.square(y_pred), -1))

def get_config():
    return TrainConfig(train_steps=2, kernels="portable", loss=PartConfig(f"{{__name__}}:loss"))
"""
EXACT = """
import json
import numpy as np
from trainer.runtime import portable
portable.choose("{kernels}")
import tensorflow as tf
from trainer.engine import approximations
x = np.random.default_rng(0).uniform(0.01, 9, 10_000).astype("f4")
with tf.GradientTape() as tape:
    tape.watch(point := tf.constant(x))
    found = tf.math.rsqrt(point)
slope = tape.gradient(found, point).numpy()
print(json.dumps({{
    "wrong": int((found.numpy() != np.float32(1) / np.sqrt(x)).sum()),
    "slope": float(abs(slope / (-0.5 * x.astype("f8") ** -1.5) - 1).max()),
}}))
"""


def python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_inverse_roots_are_exact_and_those_of_the_processor_are_not() -> None:
    found = {
        kernels: json.loads(python(EXACT.format(kernels=kernels)).stdout.splitlines()[-1])
        for kernels in ("native", "portable")
    }
    assert found["portable"]["wrong"] == 0
    assert found["portable"]["slope"] < 1e-6
    assert found["native"]["wrong"] > 0  # else there is nothing that makes differ


def test_a_run_has_one_digest_on_any_replicas_and_says_what_it_computed_with(tmp_path) -> None:
    one = summary(tmp_path / "1", *SHORT, PORTABLE)
    two = summary(tmp_path / "2", *SHORT, PORTABLE, "--cpu_replicas=2")
    native = summary(tmp_path / "native", *SHORT)
    assert one["state_digest"] == two["state_digest"] != native["state_digest"]
    assert one["eval"]["loss"] == pytest.approx(native["eval"]["loss"], rel=1e-3)
    assert one["kernels"]["cpu"] == "any x86-64 with AVX2"
    assert one["kernels"]["onednn"] == "on, at most AVX2"
    assert native["kernels"]["cpu"] == version.kind_of_cpu()


def test_the_table_of_processors_has_one_column_of_portable_results() -> None:
    table = json.loads(kernels.RESULTS.read_text())
    here = version.kind_of_cpu()
    columns = [found["portable"] for found in table.values() if "portable" in found]
    assert all(column == columns[0] for column in columns)
    if "portable" not in table.get(here, {}):
        pytest.skip(
            f"NOT SHOWN: {here} is not in the table; `python -m benchmarks.kernels` adds it"
        )
    done = trainer(f"--operations={kernels.PORTABLE}", module=("benchmarks.kernels",))
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {name: table[here]["portable"][name] for name in found}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.execution=xla_step"], "XLA's convolutions follow the caches"),
        (["--config.precision=bfloat16"], "products of AVX2 are of float32"),
    ],
)
def test_what_is_not_portable_is_refused(flags, words) -> None:
    ended = trainer(PORTABLE, *flags, "--dry_run")
    assert ended.code == 78
    assert words in ended.last_line


def test_an_approximation_of_the_users_is_refused_with_its_line(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(EXPERIMENT.format(head=""))
    ended = trainer(f"--config={tmp_path / 'mine.py'}", PORTABLE, "--fast_dev_run")
    assert ended.code == 78, ended.stderr
    assert "mine.py:6: Reciprocal" in ended.last_line
    assert "write 1 / x" in ended.last_line


def test_a_choice_that_comes_too_late_is_refused_with_the_flag(tmp_path) -> None:
    (tmp_path / "late.py").write_text(EXPERIMENT.format(head="ONE = tf.constant(1.0)"))
    ended = trainer(f"--config={tmp_path / 'late.py'}", "--dry_run")
    assert ended.code == 78
    assert "--config.kernels=portable" in ended.last_line
