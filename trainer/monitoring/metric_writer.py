"""Where numbers go: `metrics.jsonl`, TensorBoard and the console; only the chief writes."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from trainer.monitoring.console import Bar, Lines, make_console
from trainer.storage.failures import local_io

_ERRNO = {
    tf.errors.ResourceExhaustedError: errno.ENOSPC,
    tf.errors.PermissionDeniedError: errno.EACCES,
}
"""What TensorFlow makes of a disk that refuses; anything else counts as a failing disk."""


class MetricWriter(Protocol):
    """Takes the numbers of one step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record `values` at `step`."""

    def close(self) -> None:
        """Make what was written durable."""


class JsonlWriter:
    """One object a line, `step` first."""

    def __init__(self, path: pathlib.Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line and hand it to the operating system."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardWriter:
    """Scalars for TensorBoard."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record each value as a scalar."""
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=step)

    def draw(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Record pictures uint8[height, width, channels]."""
        with self._writer.as_default():
            for name, picture in pictures.items():
                tf.summary.image(name, picture[np.newaxis], step=step)

    def tell(self, step: int, name: str, text: str) -> None:
        """Record text, as Markdown."""
        with self._writer.as_default():
            tf.summary.text(name, text, step=step)

    def close(self) -> None:
        """Write out what is buffered."""
        self._writer.close()


class Writers:
    """All writers of a run as one.

    Attributes:
        workdir: folder of the run.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        writers: list[MetricWriter],
        board: TensorBoardWriter | None,
        console: Lines | Bar | None,
    ) -> None:
        self.workdir = workdir
        self._writers = [*writers, board] if board else writers
        self._board = board
        self._console = console

    def progress(self, step: int, loss: float, steps_per_second: float) -> None:
        """Show how far the run is."""
        if self._console:
            self._console.progress(step, loss, steps_per_second)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record `values` everywhere; the disk may refuse, see `local_io`."""
        with _writing(self.workdir):
            for writer in self._writers:
                writer.write(step, values)
        if self._console:
            self._console.write(step, values)

    def draw(self, step: int, make_pictures: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Record what is to be seen, uint8[height, width, channels], for TensorBoard."""
        if self._board:
            pictures = make_pictures()
            with _writing(self.workdir):
                self._board.draw(step, pictures)

    def tell(self, step: int, name: str, text: str) -> None:
        """Record text, as Markdown, for TensorBoard."""
        if self._board:
            with _writing(self.workdir):
                self._board.tell(step, name, text)

    def close(self) -> None:
        """Close all; the disk may refuse, see `local_io`."""
        with _writing(self.workdir):
            for writer in self._writers:
                writer.close()
        if self._console:
            self._console.close()


def make_writers(workdir: pathlib.Path, total_steps: int, *, is_chief: bool) -> Writers:
    """Return the writers of this process: none on workers that are not the chief."""
    if not is_chief:
        return Writers(workdir, [], None, None)
    with _writing(workdir):
        jsonl = JsonlWriter(workdir / "metrics.jsonl")
        board = TensorBoardWriter(workdir / "tensorboard")
    return Writers(workdir, [jsonl], board, make_console(total_steps))


@contextlib.contextmanager
def _writing(workdir: pathlib.Path) -> Iterator[None]:
    """Turn a failure of the disk into one line, whoever was told of it."""
    with local_io(workdir, "--workdir"):
        try:
            yield
        except tf.errors.OpError as error:
            number = _ERRNO.get(type(error), errno.EIO)
            raise OSError(number, os.strerror(number)) from error
