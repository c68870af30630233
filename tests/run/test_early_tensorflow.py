"""TensorFlow in the user's file: set up before its first operation."""

import pytest

from tests.processes import trainer

EXPERIMENT = """
import numpy as np
{head}
from trainer import DatasetConfig, PartConfig, TrainConfig

def data():
    {body}
    x = np.random.default_rng(0).normal(size=(96, 8)).astype("f4")
    y = (x[:, 0] > 0).astype("i8")
    return {{"train": {{"x": x[:64], "label": y[:64]}}, "test": {{"x": x[64:], "label": y[64:]}}}}

def get_config():
    return TrainConfig(train_steps=2, global_batch_size=16, virtual_replicas=2,
        dataset=DatasetConfig(f"{{__name__}}:data"), intra_op_threads={threads},
        task=PartConfig("supervised", {{"input": "x"}}), model=PartConfig("mlp"))
"""
AT_IMPORT = "import tensorflow as tf; WEIGHTS = tf.constant([1.0, 2.0])"
IN_DATA = "import keras; keras.ops.ones(3)"


def run(tmp_path, *args, head="", body="", threads=1):
    path = tmp_path / "uses_tensorflow.py"
    path.write_text(EXPERIMENT.format(head=head, body=body, threads=threads))
    return trainer(f"--config={path}", "--fast_dev_run", *args)


@pytest.mark.parametrize(
    ("where", "args"),
    [
        ({"head": AT_IMPORT}, ["--cpu_replicas=2"]),
        ({"body": IN_DATA}, []),
        ({"body": IN_DATA, "threads": 2}, []),
        ({"head": AT_IMPORT, "threads": 2}, ["--config.intra_op_threads=2"]),
    ],
)
def test_an_experiment_may_use_tensorflow(tmp_path, where, args):
    ended = run(tmp_path, *args, **where)
    assert ended.code == 0, ended.stderr


def test_threads_that_come_too_late_are_refused_with_the_flag(tmp_path):
    ended = run(tmp_path, head=AT_IMPORT, threads=2)
    assert ended.code == 78
    assert "--config.intra_op_threads=2" in ended.last_line
