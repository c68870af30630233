"""A class that counts in no loss: known to the data, to augmentations and to metrics."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import RunError
from tests.data.foreign import CLASSES, MSE, X, arrays_of
from tests.data.shards import example
from trainer.config import PartConfig
from trainer.data.augment import geometric, preprocess
from trainer.data.augment.hashing import uniform
from trainer.data.info import Feature
from trainer.data.records import decode
from trainer.losses.from_keras import PerExample
from trainer.tasks.supervised import Supervised

CROSS_ENTROPY = "sparse_categorical_crossentropy"


@pytest.mark.parametrize("ignore", [-1, 255])
def test_it_is_no_class_of_the_label(monkeypatch, ignore):
    label = np.where(np.arange(16) % 4 == 3, ignore, CLASSES)
    loss = PartConfig(CROSS_ENTROPY, {"ignore_class": ignore})
    feature = arrays_of(monkeypatch, {"x": X, "label": label}, loss=loss).features["label"]
    assert (feature.num_classes, feature.ignore) == (3, ignore)
    if ignore < 0:
        with pytest.raises(RunError, match="a label is 0 or more"):
            arrays_of(monkeypatch, {"x": X, "label": label})
    assert arrays_of(monkeypatch, {"x": X, "label": label}, **MSE).features["label"].ignore is None


def test_a_record_may_hold_it_and_no_other_class_out_of_range():
    feature = Feature((), "int64", num_classes=3, ignore=255)
    parse = decode.make_parser({"label": feature})
    records = [example(label=value) for value in (0, 255, 2)]
    assert parse(tf.constant(records))["label"].numpy().tolist() == [0, 255, 2]
    with pytest.raises(tf.errors.InvalidArgumentError):
        parse(tf.constant([example(label=3)]))


@geometric
def shift(batch, keys, *, feature="image"):
    """Move each image one pixel to the right, or not; what comes in is 0."""
    images = batch[feature]
    moved = tf.pad(images, [[0, 0], [0, 0], [0, 0], [1, 0], [0, 0]])[..., :-1, :]
    is_moved = uniform(keys, 0)[..., tf.newaxis, tf.newaxis, tf.newaxis] < 0.5
    return {**batch, feature: tf.where(is_moved, moved, images)}


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("ignore", [None, 255])
def test_a_custom_change_moves_the_masks_and_brings_in_what_is_ignored(said, ignore):
    features = {
        "image": Feature((4, 4, 1), "uint8", role="image"),
        "mask": Feature((4, 4, 1), "uint8", role="mask", ignore=ignore),
    }
    name = "tests.data.test_ignored_classes:shift"
    augment = [PartConfig(name)] + [PartConfig(name, {"feature": "mask"})] * said
    pixels = tf.constant(np.random.default_rng(0).integers(1, 9, (2, 16, 4, 4, 1)), tf.uint8)
    positions = tf.reshape(tf.range(32, dtype=tf.int64), [2, 16])
    made = preprocess.make_preprocess(features, augment, seed=3)
    seen = made({"image": pixels, "mask": pixels}, positions)
    image, mask = np.rint(seen["image"].numpy() * 255), seen["mask"].numpy()
    outside = image == 0
    assert outside[..., 0, :].all(axis=(2, 3)).sum() not in (0, 32)
    assert np.array_equal(mask[~outside], image[~outside])
    assert (mask[outside] == (ignore or 0)).all()


@pytest.mark.parametrize(
    "loss",
    [
        functools.partial(keras.losses.sparse_categorical_crossentropy, ignore_class=255),
        PerExample(keras.losses.SparseCategoricalCrossentropy(ignore_class=255)),
    ],
)
def test_it_counts_in_no_metric(loss):
    counted = functools.partial(Supervised._counted, types.SimpleNamespace(loss=loss))
    weights = tf.constant([1.0, 0.0])
    masks = tf.constant([[[[1], [255]]], [[[2], [2]]]], tf.uint8)
    assert counted(masks, weights).numpy().tolist() == [[[1, 0]], [[0, 0]]]
    assert counted(tf.constant([255, 1]), tf.constant([1.0, 2.0])).numpy().tolist() == [0, 2]
    metric = keras.metrics.SparseCategoricalAccuracy()
    metric.update_state(masks[..., 0], tf.one_hot([[[1, 1]], [[0, 0]]], 3), counted(masks, weights))
    assert metric.result().numpy() == 1
