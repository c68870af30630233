"""Reads any example of a split from the copies of its files as columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """See `source.Examples`."""
        from trainer.data.records import decode

        return decode.decode_columns(stored, self._plan.features, size)

    def check(self, served: Served) -> None:
        """See `source.Examples`: what is left to find is an image that cannot be decoded."""
        from trainer.data.records import decode

        decode.check_columns(self.places(served), self.read(served), self._plan.features)

    def _open_shard(self, section: Section, visit: int) -> OpenShard:
        del visit  # the copy is read, and not the file
        folder = copies.folder_of(section.shard, self._asked, self._plan.stage)
        return OpenColumns(section.shard.url, folder, self._plan.features)


class OpenColumns:
    """The open copy of a file.

    Args:
        url: of the file.
        folder: of its copy.
        features: that are read.
    """

    def __init__(self, url: str, folder: Path, features: Mapping[str, Feature]) -> None:
        self._url = url
        self._columns = columns.Columns(folder, list(features))
        self._features = features

    def read(self, numbers: np.ndarray) -> list[np.ndarray]:
        """See `OpenShard`."""
        return [
            _numbered(self._columns.read(name, numbers), feature.classes)
            for name, feature in self._features.items()
        ]

    def where(self, number: int) -> str:
        """See `OpenShard`."""
        return f"{self._url}: row {number}"

    def close(self) -> None:
        """See `OpenShard`: a file that is mapped closes when nothing of it is used."""


def _numbered(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return the class of each name."""
    if not names:
        return values
    numbers = {name.encode(): number for number, name in enumerate(names)}
    return np.fromiter((numbers[value] for value in values), np.int64, len(values))


def _stored(feature: Feature) -> Feature:
    return Feature((), "string") if feature.encoding == "image" else feature
