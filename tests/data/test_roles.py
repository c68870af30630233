"""What the features of arrays mean: classes are counted, bytes are pixels or are not."""

import numpy as np
import pytest
import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from tests.data.foreign import CLASSES, MSE, X, arrays_of
from trainer.config import PartConfig
from trainer.data.augment import preprocess
from trainer.data.info import Feature
from trainer.tasks.supervised import Supervised


@pytest.mark.parametrize(
    "label",
    [
        CLASSES[:, np.newaxis],
        CLASSES.astype(">i4"),
        CLASSES.astype(np.float64),
        CLASSES.astype(np.float32)[:, np.newaxis],
        CLASSES.astype(">f8"),
        CLASSES.astype(np.uint8),
        np.ma.masked_array(CLASSES),
    ],
    ids=lambda label: f"{label.dtype.str}{list(label.shape)}",
)
def test_the_classes_of_a_label_are_counted_whatever_its_form(monkeypatch, label):
    info = arrays_of(monkeypatch, {"x": X, "label": label})
    assert info.features["label"].num_classes == 3
    assert info.features["label"].shape == ()
    assert np.array_equal(info.train.rows()["label"], CLASSES)


def test_a_label_of_two_truths_has_two_classes(monkeypatch):
    info = arrays_of(monkeypatch, {"x": X, "label": CLASSES > 0})
    assert info.features["label"].num_classes == 2
    assert np.array_equal(info.train.rows()["label"], CLASSES > 0)


@pytest.mark.parametrize("values", [np.arange(16) - 39, np.arange(16) * 70_000, CLASSES])
def test_whole_numbers_that_are_no_label_have_no_classes(monkeypatch, values):
    info = arrays_of(monkeypatch, {"x": X, "label": CLASSES, "temperature": values})
    assert info.features["temperature"].num_classes is None
    assert np.array_equal(info.train.rows()["temperature"], values)
    target = arrays_of(monkeypatch, {"x": X, "label": values}, **MSE)
    assert target.features["label"].num_classes is None
    feature, num_outputs = Supervised.model_shapes(target.features, input="x")["main"]
    assert (feature.shape, num_outputs) == ((4,), 1)


def test_the_feature_that_the_task_calls_its_label_is_counted(monkeypatch):
    task = PartConfig("supervised", {"input": "x", "label": "species"})
    info = arrays_of(monkeypatch, {"x": X, "species": CLASSES, "label": CLASSES - 5}, task=task)
    assert info.features["species"].num_classes == 3


@pytest.mark.parametrize(
    ("arrays", "code", "reason"),
    [
        ({"x": np.ma.masked_array(X, X > 60)}, ExitCode.BAD_DATA, "'x': 3 values are masked"),
        ({"x": X.astype(np.longdouble)}, ExitCode.BAD_CONFIG, "'x': float128"),
        ({"x": X, "label": CLASSES - 1}, ExitCode.BAD_DATA, "'label': example 0 is -1.*target"),
    ],
)
def test_what_cannot_be_counted_or_held_is_named(monkeypatch, arrays, code, reason):
    with pytest.raises(RunError, match=reason) as caught:
        arrays_of(monkeypatch, arrays)
    assert caught.value.code is code


def test_big_endian_numbers_arrive(monkeypatch):
    info = arrays_of(monkeypatch, {"x": X.astype(">f4"), "label": CLASSES})
    assert info.features["x"].dtype == "float32"
    assert np.array_equal(info.train.rows()["x"], X)


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("image", (8, 8, 3), "image"),
        ("image", (8, 8, 1), "image"),
        ("mask", (8, 8, 1), "mask"),
        ("segmentation_mask", (8, 8, 1), "mask"),
        ("board", (8, 8, 12), None),
        ("x", (8, 8, 1), None),
    ],
)
def test_bytes_of_the_form_of_an_image_need_a_role(monkeypatch, name, shape, role):
    arrays = {name: np.zeros((16, *shape), np.uint8), "label": CLASSES}
    if role is None:
        with pytest.raises(RunError, match=f"'{name}' is uint8.*--config.dataset.roles=") as caught:
            arrays_of(monkeypatch, arrays)
        assert caught.value.code is ExitCode.BAD_CONFIG
    else:
        assert arrays_of(monkeypatch, arrays).features[name].role == role
    for given in ("image", "input", "mask"):
        info = arrays_of(monkeypatch, arrays, dataset={"roles": {name: given}})
        assert info.features[name].role == given
        stored = tf.constant(np.full((1, 2, *shape), 200, np.uint8))
        seen = preprocess.make_preprocess(info.features)({name: stored}, tf.zeros([1, 2], tf.int64))
        assert np.allclose(seen[name], 200 / 255 if given == "image" else 200)


def test_images_of_16_bits_are_seen_from_0_to_1():
    deep = Feature((1, 2, 1), "uint16", encoding="image", role="image")
    values = tf.constant([[[[[0], [65535]]]]], tf.uint16)
    assert np.array_equal(preprocess.scale_pixels(values, deep).numpy().ravel(), [0, 1])


def test_the_label_of_a_task_is_no_image_and_its_image_may_be_the_target(monkeypatch):
    pixels = np.zeros((16, 8, 8, 1), np.uint8)
    task = PartConfig("supervised", {"label": "regions"})
    info = arrays_of(monkeypatch, {"image": pixels, "regions": pixels}, task=task)
    assert info.features["regions"].role == "mask"
    both = PartConfig("supervised", {"label": "image"})
    info = arrays_of(monkeypatch, {"image": pixels}, task=both, **MSE)
    assert info.features["image"].role == "image"
