"""Writes down which examples were served: `step<TAB>microbatch<TAB>example id` lines."""

import os
import pathlib

import tensorflow as tf

from trainer.data.serving.order import Batches
from trainer.storage.failures import local_io


class ExampleLog:
    """Appends this worker's microbatches of the steps that are about to run.

    Workers may share the file: a call is written at once, at the end. After a kill, steps that
    were not saved run and are written again; the lines are then the same.

    Args:
        path: of the file.
        batches: that are served.

    Raises:
        RunError: BAD_CONFIG where the folder of the file cannot be made.
    """

    def __init__(self, path: pathlib.Path, batches: Batches) -> None:
        self._path = path
        self._batches = batches
        with local_io(path, "--log_examples"):
            path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, first_step: int, num_steps: int) -> None:
        """Append the examples of a call that is about to run."""
        for step in range(first_step, first_step + num_steps):
            self._write(step)

    def _write(self, step: int) -> None:
        ids = self._batches.serve(tf.constant(step, tf.int64)).ids.numpy().tolist()
        lines = [
            f"{step}\t{place // self._batches.microbatch_size}\t{example}\n"
            for place, example in zip(self._batches.local, ids, strict=True)
        ]
        with local_io(self._path, "--log_examples"):
            _append(self._path, "".join(lines).encode())


def _append(path: pathlib.Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        while data:  # a disk that is nearly full takes a part of it
            data = data[os.write(file, data) :]
    finally:
        os.close(file)
