"""Random features through every source: what reaches the loss is what NumPy holds, bit for bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.data import written
from tests.data.test_serve import pipeline_of
from trainer import storage
from trainer.data import sources
from trainer.data.augment import preprocess
from trainer.data.records.files import Stage
from trainer.data.serving import reading

COUNT, BATCH = 12, 4
DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64"),
)
ROLES = ("input", "image", "target", "mask")
RAW_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def values_of(random, dtype, shape):
    """Draw values over the whole range of a dtype: finite floats of any size."""
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        bits = random.integers(0, 2 ** (8 * kind.itemsize - 1), shape, dtype=np.uint64)
        found = bits.astype(RAW_BITS[kind.itemsize]).view(kind)
        return np.where(np.isfinite(found), found, kind.type(0.5))
    info = np.iinfo(dtype)
    return random.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def drawn(random, ranks):
    """Draw a few features, and a role for each that has the form of an image."""
    examples, roles = {}, {}
    for number in range(3):
        shape = tuple(random.integers(1, 5, random.integers(0, ranks + 1)).tolist())
        name = f"f{number}"
        examples[name] = values_of(random, str(random.choice(DTYPES)), (COUNT, *shape))
        if len(shape) == 3:
            is_pixels = examples[name].dtype in (np.uint8, np.uint16)
            roles[name] = str(random.choice(ROLES)) if is_pixels else "input"
    return examples, roles


def seen(config):
    """Return what a step sees of all examples, streamed and resident: feature -> [COUNT, ...]."""
    found = {}
    for mode in ("stream", "resident"):
        chosen = dataclasses.replace(config, serve=mode)
        pipeline = pipeline_of(chosen, batch_size=BATCH, num_steps=COUNT // BATCH, seed=None)
        prepared = pipeline.prepare(0, COUNT // BATCH)
        features = sources.describe(chosen).features
        change = preprocess.make_preprocess(features)
        batches = []
        for step in range(COUNT // BATCH):
            selected = pipeline.select(prepared, tf.constant(step))
            batch, _ = pipeline.batch(selected, tf.constant(0, tf.int64), 2)
            batches.append(change(batch, tf.zeros([2, BATCH // 2], tf.int64)))
        found[mode] = {
            n: np.concatenate([b[n].numpy().reshape(BATCH, *b[n].shape[2:]) for b in batches])
            for n in features
        }
    return found


def expected_of(values, role):
    if role == "image":
        return (tf.cast(values, tf.float32) / np.iinfo(values.dtype).max).numpy()
    return values


def assert_same(config, examples, roles):
    for mode, found in seen(config).items():
        assert set(found) == set(examples)
        for name, values in examples.items():
            expected = expected_of(values, roles.get(name))
            assert found[name].dtype == expected.dtype, (mode, name)
            assert found[name].tobytes() == expected.tobytes(), (mode, name)


def check(tmp_path, monkeypatch, seed, writer):
    random = np.random.default_rng(seed)
    examples, roles = drawn(random, 0 if writer is written.csv_files else 3)
    folder = tmp_path / f"{writer.__name__}-{seed}"
    folder.mkdir()
    config = (
        writer(folder, examples, monkeypatch)
        if writer is written.arrays
        else writer(folder, examples)
    )
    assert_same(dataclasses.replace(config, roles=roles), examples, roles)


ALL = (written.arrays, *written.WRITERS)


@pytest.mark.parametrize("writer", ALL, ids=lambda writer: writer.__name__)
def test_random_features_arrive_bit_for_bit(tmp_path, monkeypatch, writer):
    for seed in range(2):
        check(tmp_path, monkeypatch, seed, writer)


@pytest.mark.slow
@pytest.mark.parametrize("writer", ALL, ids=lambda writer: writer.__name__)
def test_many_random_features_arrive_bit_for_bit(tmp_path, monkeypatch, writer):
    for seed in range(2, 40):
        check(tmp_path, monkeypatch, seed, writer)


@pytest.mark.parametrize("writer", written.IMAGE_WRITERS, ids=lambda writer: writer.__name__)
def test_files_of_images_arrive_bit_for_bit(tmp_path, writer):
    random = np.random.default_rng(0)
    examples = {
        "image": random.integers(0, 256, (COUNT, 5, 4, 3), dtype=np.uint8),
        "label": np.arange(COUNT) // 4,
    }
    config = writer(tmp_path, examples)
    storage.forget()
    info = sources.describe(config)
    assert info.features["label"].num_classes == 3
    assert info.features["image"].role == "image"
    assert_same(config, examples, {"image": "image"})
    stored = reading.load(info, info.train, Stage())
    assert np.array_equal(stored["image"], examples["image"])
