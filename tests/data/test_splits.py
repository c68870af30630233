"""Slices of splits and what is joined of them: every example once, or refused."""

import numpy as np
import pytest

from common.exit_codes import ExitCode, RunError
from tests.data.foreign import CLASSES, X, arrays_of
from tests.data.shards import FEATURES, write_shards
from tests.data.test_serve import pipeline_of, served
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
from trainer.data.serving import reading

SIZES = [7, 1, 12, 5]


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "data", SIZES)
    write_shards(tmp_path / "data", [3, 2], "test")
    return tmp_path / "data"


def config_of(folder, split, **fields):
    storage.forget()
    fields = {"eval_split": "", **fields}
    name = str(folder / "{split}-*.tfrecord")
    return DatasetConfig(name, train_split=split, args={"features": FEATURES}, **fields)


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        ("train[:20%]+train[40%:]", [*range(5), *range(10, 25)]),
        ("train[20:]+train[:3]", [*range(20, 25), *range(3)]),
        ("train[1:2] + train[7:8] + train[-1:]", [1, 7, 24]),
        ("test+train[:4]", [*range(5), *range(4)]),
    ],
)
@pytest.mark.parametrize("window", [0, 4])
def test_joined_ranges_are_served_whole_and_both_ways(folder, split, ids, window):
    info = sources.describe(config_of(folder, split))
    pixels = reading.load(info, info.train, Stage())["image"][:, 0, 0, 0]
    assert pixels.tolist() == ids
    calls = [(0, 6)]
    fields = {"batch_size": 6, "num_steps": 6}
    streamed, resident = (
        served(
            pipeline_of(config_of(folder, split, serve=mode, shuffle_window=window), **fields),
            calls,
        )
        for mode in ("stream", "resident")
    )
    assert np.array_equal(streamed, resident)
    assert sorted(streamed[: len(ids)]) == sorted(ids)


def test_the_end_of_a_joined_split_is_held_out(folder):
    info = sources.describe(config_of(folder, "train[:4]+test", holdout=6))
    held = reading.load(info, info.evaluation, Stage())["image"][:, 0, 0, 0]
    assert (info.train.num_examples, held.tolist()) == (3, [3, 0, 1, 2, 3, 4])
    assert info.num_shared == 0


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ("train[:5]+train[3:]", "its parts overlap in 2 examples"),
        ("train+train", "its parts overlap in 25 examples"),
        ("train+", "is not a split such as"),
        ("train+validation", "matches no file"),
        ("train[:3]+train[30:]", "is empty"),
    ],
)
def test_what_cannot_be_joined_is_named(folder, split, reason):
    with pytest.raises(RunError, match=reason) as caught:
        sources.describe(config_of(folder, split))
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_examples_that_are_trained_and_evaluated_on_are_counted(monkeypatch):
    def shared(train, other):
        dataset = {"train_split": train, "eval_split": other}
        return arrays_of(monkeypatch, {"x": X, "label": CLASSES}, dataset=dataset)

    assert shared("train[:12]", "train[8:]").num_shared == 4
    assert shared("train[:8]", "train[8:]").num_shared == 0
    assert shared("train", "test").num_shared == 0
    info = shared("train[:4]+train[8:]", "train[2:9]+test")
    assert info.num_shared == 3
    assert np.array_equal(info.train.rows()["x"], np.concatenate([X[:4], X[8:]]))
    assert np.array_equal(info.evaluation.rows()["x"], np.concatenate([X[2:9], X]))
