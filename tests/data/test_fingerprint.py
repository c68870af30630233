"""The fingerprint: it tells all data apart that would train another model."""

import dataclasses
import functools

import numpy as np
import pytest

from tests.data.shards import FEATURES, example, png, write_file, write_shards
from tests.data.test_serve import config_of
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.info import DatasetInfo, Feature, Shard, Split

SIZES = [4, 6, 5]


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "data", SIZES)
    return tmp_path / "data"


def test_the_fingerprint_tells_files_apart(folder):
    config = config_of(str(folder / "{split}-*"))
    before = sources.describe(config).fingerprint()
    moved = folder.rename(folder.with_name("elsewhere"))
    config = config_of(str(moved / "{split}-*"))
    assert sources.describe(config).fingerprint() == before
    write_file(moved / "train-1.tfrecord", [example(image=png(i), label=0) for i in range(6)])
    same_count = sources.describe(config)
    (moved / "train-1.tfrecord").rename(moved / "train-1b.tfrecord")
    storage.forget()  # a listing is remembered for the life of a process
    renamed = sources.describe(config)
    assert same_count.train.num_examples == renamed.train.num_examples == 15
    assert renamed.fingerprint() != same_count.fingerprint()
    write_file(moved / "train-1b.tfrecord", [example(image=png(i), label=0, x=1) for i in range(6)])
    assert sources.describe(config).fingerprint() != renamed.fingerprint()


CHANGES = {
    "an example more": lambda info: {"stop": info.stop - 1},
    "another start": lambda info: {"start": info.start + 1},
    "another split": lambda _: {"name": "other"},
    "another order of the files": lambda info: {"shards": info.shards[::-1]},
    "two ranges": lambda info: {"joined": ((0, 1), (2, info.stop + 1))},
    "another file": lambda info: {
        "shards": (dataclasses.replace(info.shards[0], url="other"), *info.shards[1:])
    },
    "other bytes": lambda info: {
        "shards": (*info.shards[:-1], dataclasses.replace(info.shards[-1], num_bytes=1))
    },
    "other content": lambda info: {
        "shards": (*info.shards[:-1], dataclasses.replace(info.shards[-1], crc32c=1))
    },
    "other counts": lambda info: {
        "shards": (*info.shards[:-1], dataclasses.replace(info.shards[-1], num_examples=1))
    },
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_the_fingerprint_covers_both_splits(folder, split, change):
    write_shards(folder, [3, 4], "test")
    name = str(folder / "{split}-*")
    config = DatasetConfig(name, args={"features": FEATURES})
    info = sources.describe(config)
    old = getattr(info, split)
    changed = dataclasses.replace(old, **CHANGES[change](old))
    assert dataclasses.replace(info, **{split: changed}).fingerprint() != info.fingerprint()


def test_the_fingerprint_covers_each_array_of_both_splits_and_every_field_of_a_feature():
    shards = (Shard("memory", 4),)
    arrays = {"x": np.arange(8).reshape(4, 2), "label": np.arange(4)}
    split = Split("train", shards, 0, 4, arrays)
    features = {"x": Feature((2,), "int64"), "label": Feature((), "int64", num_classes=4)}
    make = functools.partial(DatasetInfo, DatasetConfig())
    infos = [
        make("custom", features, split, split),
        make("custom", features, split, None),
    ]
    for name in arrays:
        changed = dataclasses.replace(split, arrays={**arrays, name: arrays[name][::-1]})
        infos.append(make("custom", features, changed, split))
        infos.append(make("custom", features, split, changed))
    other = {
        "shape": (3,), "dtype": "int32", "num_classes": 7, "encoding": "raw", "padded": True,
        "pad_value": 2, "resized": True, "role": "input", "sequence": True, "ignore": 3,
        "classes": ("a",),
    }  # fmt: skip
    assert set(other) == {field.name for field in dataclasses.fields(Feature)}
    for field, value in other.items():
        x = dataclasses.replace(features["x"], **{field: value})
        infos.append(make("custom", {**features, "x": x}, split, split))
    assert len({info.fingerprint() for info in infos}) == len(infos)
    moved = make("elsewhere", dict(reversed(features.items())), split, split)
    assert moved.fingerprint() == infos[0].fingerprint()
