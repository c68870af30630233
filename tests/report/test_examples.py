"""What a classifier takes for what, and how it is drawn."""

import tracemalloc
import types

import numpy as np
import tensorflow as tf

from trainer.data.info import Feature
from trainer.report import examples, pictures


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    # Of three eights two are taken for a three; of two threes none for an eight.
    matrix = examples.count(np.array([8, 8, 8, 3, 3]), np.array([3, 3, 8, 3, 3]), 10)
    assert (matrix[8, 3], matrix[8, 8], matrix[3, 3], matrix[3, 8]) == (2, 1, 2, 0)
    assert matrix.sum() == 5


def test_held_out_images_are_not_all_there_as_floats() -> None:
    images = np.arange(2048, dtype=np.uint32).astype(np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, [2048, 32, 32, 3])
    task = types.SimpleNamespace(average=None, model=lambda x, **_: tf.reduce_mean(x, [1, 2]) * 255)
    tracemalloc.start()
    labels = np.zeros(2048, np.int64)
    judged = examples._judge(task, images, Feature((32, 32, 3), "uint8"), labels, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Three equal logits: the loss is log(3) whatever they are.
    np.testing.assert_allclose(judged.losses, np.log(3), rtol=1e-4)
    assert peak < images.size / 2


def test_the_losses_of_the_examples_are_those_of_their_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(130, 1, 1, 5)).astype(np.float32)
    labels = np.arange(130) % 5
    task = types.SimpleNamespace(average=None, model=lambda x, **_: x[:, 0, 0])
    judged = examples._judge(task, logits, Feature((1, 1, 5), "float32"), labels, 5)
    rows = logits[:, 0, 0].astype(np.float64)
    log_p = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    np.testing.assert_allclose(judged.losses, -log_p[np.arange(130), labels], rtol=1e-5)
    np.testing.assert_array_equal(judged.predicted, rows.argmax(-1))


def test_of_many_classes_the_most_frequent_confusions_are_listed() -> None:
    # 2^20 classes: their matrix would have 2^40 cells.
    labels = np.array([7, 7, 7, 2**20 - 1, 5, 5])
    predicted = np.array([9, 9, 7, 0, 5, 2])
    assert examples._most_frequent(labels, predicted) == [(7, 9, 2), (5, 2, 1), (2**20 - 1, 0, 1)]


def test_confusion_picture_shades_each_row_by_its_share() -> None:
    picture = pictures.confusion(np.array([[4, 0], [3, 1]]))
    blue = 255 - picture[2:52:26, 24:52:26, 0].astype(int)  # corners of the cells, without text
    share = blue / (0.8 * (255 - 37))
    np.testing.assert_allclose(share, [[1, 0], [0.75, 0.25]], atol=0.01)


def test_grid_keeps_the_order_of_the_images_and_enlarges_small_ones() -> None:
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(8, 1).repeat(8, 2) * 100
    laid = pictures.grid(images)
    assert laid.shape == (2 * 49, 2 * 49, 1)
    assert laid[[0, 0, 49, 49], [0, 49, 0, 49], 0].tolist() == [0, 100, 200, 128]
