"""Modules of a user's, for the tests of data functions."""

import importlib
import itertools
import sys

import pytest

from trainer.config import DatasetConfig

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
