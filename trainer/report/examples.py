"""Which held-out examples a classifier takes for what."""

import contextlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from trainer.data.augment.preprocess import scale_pixels
from trainer.data.info import DatasetInfo, Feature
from trainer.data.records.files import Stage
from trainer.data.serving import reading
from trainer.report import pictures
from trainer.task import Task
from trainer.tasks.supervised import Supervised

MOST = 10_000
"""Held-out examples; a larger split is not looked at."""
MOST_CLASSES = 100
"""Of which a matrix is drawn and printed; of more the most frequent confusions are listed."""
_MOST_BYTES = 1 << 30
_SHOWN = 12
_BATCH = 64


class _Judged(NamedTuple):
    """int[N], the predicted class; float32[N], the cross-entropy of the true one."""

    predicted: np.ndarray
    losses: np.ndarray


def look(task: Task, info: DatasetInfo, stage: Stage) -> dict[str, Any]:
    """Return what a classifier does; nothing where the task does not predict classes.

    Args:
        task: with its trained state.
        info: of its data.
        stage: where remote files are brought.

    Returns:
        "confusion" [K][K], of many classes "confusions" in its place, the "worst" examples, and
        "pictures": name -> uint8[H, W, C].
    """
    split = info.evaluation
    if split is None or not isinstance(task, Supervised) or split.num_examples > MOST:
        return {}
    if not isinstance(task.input, str) or not isinstance(task.label, str):
        return {}
    label, feature = info.features[task.label], info.features[task.input]
    if (
        not label.num_classes
        or label.shape
        or label.ignore is not None  # such examples are not judged
        or split.num_examples * info.example_bytes > _MOST_BYTES
    ):
        return {}
    arrays = reading.load(info, split, stage)
    labels, values = arrays[task.label].astype(np.int64), arrays[task.input]
    judged = _judge(task, values, feature, labels, label.num_classes)
    if judged is None:
        return {}
    worst = _worst(labels, *judged)
    drawn: dict[str, np.ndarray] = {}
    found: dict[str, Any] = {"pictures": drawn}
    if label.num_classes > MOST_CLASSES:
        found["confusions"] = _most_frequent(labels, judged.predicted)
    else:
        matrix = count(labels, judged.predicted, label.num_classes)
        drawn["confusion"], found["confusion"] = pictures.confusion(matrix), matrix.tolist()
    if feature.is_image and feature.shape[-1] in (1, 3):
        drawn["worst"] = pictures.grid(values[[example["id"] for example in worst]])
        worst = [{**example, "png": pictures.png(values[example["id"]])} for example in worst]
    return {**found, "worst": worst}


def count(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Return int64[K, K]: how many of each class (row) are taken for each class (column)."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def _most_frequent(labels: np.ndarray, predicted: np.ndarray) -> list[tuple[int, int, int]]:
    """Return the most frequent confusions: true class, predicted class, examples."""
    wrong = np.stack([labels, predicted], axis=1)[labels != predicted]
    pairs, counts = np.unique(wrong, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    return [(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]


def _judge(
    task: Supervised, values: np.ndarray, feature: Feature, labels: np.ndarray, num_classes: int
) -> _Judged | None:
    """Return what is predicted, a few examples at a time; None where it is no class."""

    @tf.function(autograph=False, reduce_retracing=True)
    def call(x: tf.Tensor) -> tf.Tensor:
        x = scale_pixels(x, feature)
        with task.average.scope() if task.average else contextlib.nullcontext():
            return task.model(x, training=False)

    predicted, losses = [], []
    for i in range(0, len(values), _BATCH):
        logits = call(tf.constant(values[i : i + _BATCH])).numpy().astype(np.float32)
        if logits.ndim != 2 or logits.shape[1] != num_classes:
            return None
        predicted.append(logits.argmax(-1))
        losses.append(_losses(labels[i : i + _BATCH], logits))
    return _Judged(np.concatenate(predicted), np.concatenate(losses))


def _losses(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[:, np.newaxis], 1)[:, 0]


def _worst(labels: np.ndarray, predicted: np.ndarray, losses: np.ndarray) -> list[dict[str, Any]]:
    """Return the examples whose class has the smallest probability."""
    order = np.argsort(-losses, kind="stable")[:_SHOWN]
    return [
        {
            "id": int(i),
            "label": int(labels[i]),
            "predicted": int(predicted[i]),
            "loss": float(losses[i]),
        }
        for i in order
    ]
