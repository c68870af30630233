"""Which held-out examples a classifier takes for what."""

import contextlib
from typing import Any

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
_SHOWN = 12
_BATCH = 64


def look(task: Task, info: DatasetInfo, stage: Stage) -> dict[str, Any]:
    """Return what a classifier does; nothing where the task does not predict classes.

    Args:
        task: with its trained state.
        info: of its data.
        stage: where remote files are brought.

    Returns:
        "confusion" [K][K], the "worst" examples, and "pictures" of both: name -> uint8[H, W, C].
    """
    split = info.evaluation
    if split is None or not isinstance(task, Supervised) or split.num_examples > MOST:
        return {}
    label = info.features[task.label]
    if not label.num_classes or label.shape:
        return {}
    arrays = reading.load(info, split, stage)
    labels, feature = arrays[task.label].astype(np.int64), info.features[task.input]
    logits = _logits(task, arrays[task.input], feature)
    if logits.ndim != 2 or logits.shape[1] != label.num_classes:
        return {}
    matrix = count(labels, logits.argmax(-1), label.num_classes)
    worst, values = _worst(labels, logits), arrays[task.input]
    drawn = {"confusion": pictures.confusion(matrix)}
    if feature.is_image and feature.shape[-1] in (1, 3):
        drawn["worst"] = pictures.grid(values[[example["id"] for example in worst]])
        worst = [{**example, "png": pictures.png(values[example["id"]])} for example in worst]
    return {"confusion": matrix.tolist(), "worst": worst, "pictures": drawn}


def count(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Return int64[K, K]: how many of each class (row) are taken for each class (column)."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def _logits(task: Supervised, values: np.ndarray, feature: Feature) -> np.ndarray:
    @tf.function(autograph=False, reduce_retracing=True)
    def call(x: tf.Tensor) -> tf.Tensor:
        x = scale_pixels(x, feature)
        with task.average.scope() if task.average else contextlib.nullcontext():
            return task.model(x, training=False)

    parts = [call(tf.constant(values[i : i + _BATCH])) for i in range(0, len(values), _BATCH)]
    return np.concatenate([part.numpy() for part in parts]).astype(np.float32)


def _worst(labels: np.ndarray, logits: np.ndarray) -> list[dict[str, Any]]:
    """Return the examples whose class has the smallest probability."""
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_p, labels[:, np.newaxis], 1)[:, 0]
    order = np.argsort(-losses, kind="stable")[:_SHOWN]
    return [
        {
            "id": int(i),
            "label": int(labels[i]),
            "predicted": int(logits[i].argmax()),
            "loss": float(losses[i]),
        }
        for i in order
    ]
