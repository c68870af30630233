"""What a task shows of itself: the drawings of a generator, for example."""

import contextlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.report import pictures
from trainer.task import Task

Pictures = dict[str, np.ndarray]


def make_samples(task: Task) -> Callable[[], Pictures]:
    """Return draw() -> name -> uint8[height, width, C]; compiled once, with the average weights."""

    @tf.function(autograph=False)
    def call() -> dict[str, tf.Tensor]:
        with task.average.scope() if task.average else contextlib.nullcontext():
            return dict(task.images())

    def draw() -> Pictures:
        return {name: pictures.grid(images.numpy()) for name, images in call().items()}

    return draw
