"""Data that others wrote: small datasets of them, and what is asked of a run on them."""

import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.shards import write_file
from tests.data.test_serve import pipeline_of
from trainer.config import DatasetConfig, PartConfig, TrainConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.data.sources import roles

MODES = ("resident", "stream")


def config_of(folder, features, records, **fields):
    """Write records, in files of four, and return the dataset of them."""
    folder.mkdir(exist_ok=True)
    for start in range(0, len(records), 4):
        write_file(folder / f"train-{start:03d}.tfrecord", records[start : start + 4])
    name = str(folder / "{split}-*.tfrecord")
    return DatasetConfig(name, eval_split="", args={"features": features}, **fields)


def load(config):
    info = sources.describe(config)
    return reading.load(info, info.train, Stage())


def serve(config):
    """Serve the first steps, and fail as the inner loop does."""
    try:
        pipeline = pipeline_of(config, num_steps=2)
        prepared = pipeline.prepare(0, 2)
        for index in range(2):
            pipeline.batch(
                pipeline.select(prepared, tf.constant(index)), tf.constant(0, tf.int64), 2
            )
    except tf.errors.OpError as error:
        raise pipeline.cause(error, 0, 2) from None


def refused(config, *parts, code=ExitCode.BAD_DATA):
    with pytest.raises(RunError) as caught:
        serve(config)
    assert caught.value.code is code
    for part in parts:
        assert part in caught.value.reason


IMAGE = {"image": {"dtype": "uint8", "shape": [4, 4, 1], "encoding": "image"}}


TOKENS = {"shape": [6], "padded": True, "pad_value": 0}


def arrays_of(monkeypatch, arrays, **fields):
    """Return what is known of a custom dataset of these arrays, the same for both splits."""
    monkeypatch.setitem(ARRAYS, "all", {"train": arrays, "test": arrays})
    dataset = DatasetConfig("tests.data.foreign:build", **fields.pop("dataset", {}))
    config = TrainConfig(epochs=1, dataset=dataset, **fields)
    return sources.describe(roles.of_task(config))


ARRAYS: dict = {}


def build():
    return ARRAYS["all"]


X = np.arange(64, dtype=np.float32).reshape(16, 4)


CLASSES = np.arange(16) % 3


MSE = {"loss": PartConfig("mse")}
