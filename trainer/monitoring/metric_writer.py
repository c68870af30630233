"""Where numbers go: `metrics.jsonl`, TensorBoard and the console; only the chief writes."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from common import strict_json
from trainer.config import PartConfig
from trainer.monitoring.console import Bar, Lines, make_console
from trainer.monitoring.metrics_port import Counts, MetricsPort
from trainer.monitoring.trackers import Follower, follow
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

    def write(self, step: int, values: Mapping[str, float | str]) -> None:
        """Append one line and hand it to the operating system."""
        self._file.write(strict_json.dumps({"step": step, **values}) + "\n")
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
        lines: JsonlWriter | None,
        board: TensorBoardWriter | None,
        console: Lines | Bar | None,
        *,
        port: MetricsPort | None = None,
        followers: Sequence[Follower] = (),
    ) -> None:
        self.workdir = workdir
        self._lines = lines
        self._writers: list[MetricWriter] = [w for w in (lines, board, port) if w]
        self._board = board
        self._console = console
        self._port = port
        self._followers = followers

    def progress(self, step: int, loss: float, steps_per_second: float) -> None:
        """Show how far the run is."""
        if self._console:
            self._console.progress(step, loss, steps_per_second)
        if self._port:
            self._port.progress(step, loss)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record `values` everywhere; the disk may refuse, see `local_io`."""
        with _writing(self.workdir):
            for writer in self._writers:
                writer.write(step, values)
        if self._console:
            self._console.write(step, values)

    def note(self, step: int, facts: Mapping[str, str]) -> None:
        """Record what is no number, which charts have no place for: in `metrics.jsonl` alone."""
        if self._lines:
            with _writing(self.workdir):
                self._lines.write(step, facts)

    def draw(self, step: int, make_pictures: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Record what is to be seen, uint8[height, width, channels].

        TensorBoard keeps all of it, the folder `pictures` the newest of each name.
        """
        if self._board:
            pictures = make_pictures()
            with _writing(self.workdir):
                self._board.draw(step, pictures)
                for name, picture in pictures.items():
                    keep_picture(self.workdir / "pictures" / f"{name}.png", picture)

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
        for follower in self._followers:  # they read what the others have written
            follower.close()
        if self._console:
            self._console.close()


def make_writers(
    workdir: pathlib.Path,
    total_steps: int,
    *,
    is_chief: bool,
    metrics_port: int = 0,
    counts: Counts = dict,
    trackers: Sequence[PartConfig] = (),
    final_step: Callable[[], int] = lambda: -1,
) -> Writers:
    """Return the writers of this process.

    Args:
        workdir: folder of the run.
        total_steps: of the run.
        is_chief: workers that are not the chief write no file.
        metrics_port: where Prometheus scrapes this worker; 0: nowhere.
        counts: see `MetricsPort`.
        trackers: of the config; the chief tells them.
        final_step: see `trackers.Follower`.
    """
    port = MetricsPort(metrics_port, counts) if metrics_port else None
    if not is_chief:
        return Writers(workdir, None, None, None, port=port)
    with _writing(workdir):
        jsonl = JsonlWriter(workdir / "metrics.jsonl")
        board = TensorBoardWriter(workdir / "tensorboard")
    console = make_console(total_steps)
    followers = follow(trackers, workdir, final_step)
    return Writers(workdir, jsonl, board, console, port=port, followers=followers)


def keep_picture(path: pathlib.Path, picture: np.ndarray) -> None:
    """Write uint8[height, width, 1 or 3] as a PNG file, in place of an earlier one."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(path)


@contextlib.contextmanager
def _writing(workdir: pathlib.Path) -> Iterator[None]:
    """Turn a failure of the disk into one line, whoever was told of it."""
    with local_io(workdir, "--workdir"):
        try:
            yield
        except tf.errors.OpError as error:
            number = _ERRNO.get(type(error), errno.EIO)
            raise OSError(number, os.strerror(number)) from error
