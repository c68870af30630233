"""What tests of sources share: datasets of a folder, and modules of a user's."""

import importlib
import itertools
import sys

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig, PartConfig, TrainConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.data.sources import roles

HEAD = """
import itertools
import pathlib
import random
import keras
import numpy as np
import tensorflow as tf

X = np.arange(40 * 48, dtype=np.uint8).reshape(40, 4, 4, 3)
Y = np.arange(40) % 7
Slices = tf.data.Dataset.from_tensor_slices
HERE = pathlib.Path(__file__).parent
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return the function that writes a module of the user's and gives the dataset of it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = itertools.count()

    def write(code, name="", **fields):
        name = name or f"users_data_{next(numbers)}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text(HEAD + code)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        fields = {"eval_split": "", "elements": "auto"} | fields
        return DatasetConfig(f"{name}:data", **fields)

    return write


@pytest.fixture
def load(tmp_path):
    """Give the function from a file and fields of the dataset to (info, features in memory)."""

    def load(name, loss="sparse_categorical_crossentropy", **fields):
        storage.forget()
        prefix, _, path = name.rpartition(":")
        name = f"{prefix}:{tmp_path / path}" if prefix else str(tmp_path / path)
        dataset = DatasetConfig(name, **{"eval_split": "", **fields})
        config = TrainConfig(epochs=1, dataset=dataset, loss=PartConfig(loss))
        stage = Stage(str(tmp_path / "stage"))
        info = sources.describe(roles.of_task(config), stage)
        return info, reading.load(info, info.train, stage)

    return load


@pytest.fixture
def refused(load):
    def refused(name, *parts, **fields):
        with pytest.raises(RunError) as caught:
            load(name, **fields)
        assert caught.value.code in (ExitCode.BAD_DATA, ExitCode.BAD_CONFIG)
        for part in parts:
            assert part in caught.value.reason
        assert "\n" not in caught.value.reason

    return refused
