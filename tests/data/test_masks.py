"""Masks: classes of pixels, which move with their image and are never blended."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.shards import example
from trainer.config import PartConfig
from trainer.data.augment import preprocess
from trainer.data.info import Feature
from trainer.data.records import decode


def test_a_mask_is_resized_to_classes_that_it_holds(tmp_path):
    place = np.hypot(*np.mgrid[-50:50, -60:60])[..., np.newaxis]
    mask = np.where(place < 35, 15, 0).astype(np.uint8)
    record = example(mask=tf.io.encode_png(mask).numpy())
    feature = Feature((64, 64, 1), "uint8", encoding="image", resized=True, role="mask")
    found = decode.make_parser({"mask": feature})(tf.constant([record]))["mask"].numpy()
    assert set(np.unique(found)) == {0, 15}


GEOMETRIC = ["flip", "pad_and_crop", "random_resized_crop"]


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("said", [False, True])
def test_a_mask_moves_with_its_image(name, said):
    """Whether the config names the mask or not: one draw for an example."""
    features = {
        "image": Feature((8, 8, 1), "uint8", role="image"),
        "mask": Feature((8, 8, 1), "uint8", role="mask"),
    }
    random = np.random.default_rng(0)
    pixels = np.repeat(np.repeat(random.integers(0, 2, (4, 8, 2, 2, 1)), 4, 2), 4, 3) * 255
    batch = {n: tf.constant(pixels, tf.uint8) for n in features}
    augment = [PartConfig(name)] + [PartConfig(name, {"feature": "mask"})] * said
    positions = tf.reshape(tf.range(32, dtype=tf.int64), [4, 8])
    seen = preprocess.make_preprocess(features, augment, seed=3)(batch, positions)
    mask, image = seen["mask"].numpy(), seen["image"].numpy() * 255
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert not np.array_equal(mask, pixels)
    inside = (image == 0) | (image == 255)  # the others are blended of both classes
    assert inside.mean() > 0.5
    assert np.array_equal(mask[inside], image[inside])


def test_two_moves_of_one_image_are_two_draws():
    features = {n: Feature((8, 8, 1), "uint8", role="image") for n in ("image", "depth")}
    twice = [PartConfig("flip", {"feature": n}) for n in ("image", "depth", "image", "depth")]
    pixels = tf.constant(np.random.default_rng(0).integers(0, 255, (4, 8, 8, 8, 1)), tf.uint8)
    positions = tf.reshape(tf.range(32, dtype=tf.int64), [4, 8])
    made = preprocess.make_preprocess(features, twice, seed=3)
    seen = made(dict.fromkeys(features, pixels), positions)
    assert np.array_equal(seen["image"], seen["depth"])
    once = preprocess.make_preprocess(features, twice[:1], seed=3)
    assert not np.array_equal(once({"image": pixels}, positions)["image"], seen["image"])
