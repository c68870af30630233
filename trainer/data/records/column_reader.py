"""Reads any example of a split from the copies of its files as columns."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature, Section
from trainer.data.records import columns, copies
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.records.shard_reader import OpenShard, ShardReader

if TYPE_CHECKING:
    import tensorflow as tf


class ColumnReader(ShardReader):
    """See `source.Examples`: rows of columns; images are decoded in the pipeline.

    Args:
        plan: what is read.
        asked: as for `describe`.
    """

    def __init__(self, plan: ReadPlan, asked: str) -> None:
        super().__init__(plan, {name: _stored(feature) for name, feature in plan.features.items()})
        self._asked = asked
        self._closing = contextlib.ExitStack()

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """See `source.Examples`."""
        from trainer.data.records import decode

        return decode.decode_columns(stored, self._plan.features, size)

    def check(self, served: Served) -> None:
        """See `source.Examples`: what is left to find is an image that cannot be decoded."""
        from trainer.data.records import undecodable

        undecodable.check_columns(self.places(served), self.read(served), self._plan.features)

    def close(self) -> None:
        """See `source.Examples`."""
        super().close()
        self._closing.close()

    def _open_shard(self, section: Section, visit: int) -> OpenShard:
        folder = copies.folder_of(section.shard, self._asked, self._plan.stage)
        return self._open_copy(section.shard.url, folder, visit)

    def _open_copy(self, url: str, folder: Path, visit: int) -> "OpenColumns":
        del visit  # the copy is read, and not the file
        return OpenColumns(url, folder, self._plan.features)


class OpenColumns:
    """The open copy of a file.

    Args:
        url: of the file.
        folder: of its copy.
        features: that are read.
    """

    def __init__(self, url: str, folder: Path, features: Mapping[str, Feature]) -> None:
        self.url = url
        self.columns = columns.Columns(folder, list(features))
        self._features = features
        self.closing = contextlib.ExitStack()

    def read(self, numbers: np.ndarray) -> list[Sequence[bytes] | np.ndarray]:
        """See `OpenShard`."""
        return [
            self.read_files(name, numbers)
            if feature.encoding == "image"
            else numbered(self.columns.read(name, numbers), feature.classes)
            for name, feature in self._features.items()
        ]

    def read_files(self, name: str, numbers: np.ndarray) -> Sequence[bytes] | np.ndarray:
        """Return the image files of a feature: here the column holds them."""
        return self.columns.read(name, numbers)

    def where(self, number: int) -> str:
        """See `OpenShard`."""
        return f"{self.url}: row {number}"

    def close(self) -> None:
        """See `OpenShard`: what is mapped is closed when nothing of it is used."""
        self.closing.close()


def check_same(data: bytes, size: int, crc32c: int, where: str) -> bytes:
    """Return stored bytes, which were read and summed when the dataset was described.

    Raises:
        RunError: BAD_DATA where they are others by now.
    """
    if len(data) != size or google_crc32c.value(data) != crc32c:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{where}: is not what it was when the run began; bring back the file, or start a run "
            "on the new one",
        )
    return data


def numbered(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return int64[n]: the class of each name, object[n] of bytes; without names the values."""
    if not names:
        return values
    numbers = {name.encode(): number for number, name in enumerate(names)}
    return np.fromiter((numbers[value] for value in values), np.int64, len(values))


def _stored(feature: Feature) -> Feature:
    return Feature((), "string") if feature.encoding == "image" else feature
