"""Writes blocks of examples as TFRecord files, with progress and a limit."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature, Shard
from trainer.data.records import tfrecord
from trainer.storage.failures import local_io

if TYPE_CHECKING:
    import tensorflow as tf

Block = Mapping[str, np.ndarray]
"""Feature -> [n, ...], n examples that follow one another."""

_SHARD_BYTES = 128 << 20
_REPORT_SECS = 5.0


class Writer:
    """Writes records to files that are cut by size: the same examples give the same files.

    Args:
        place: folder of the files.
        split: what they are called by.
        limit: bytes of all of them.
        num_blocks: that will come, for the progress; 0: not known.
    """

    def __init__(self, place: Path, split: str, limit: int, num_blocks: int = 0) -> None:
        self._place, self._split, self._limit = place, split, limit
        self._num_blocks, self._blocks = num_blocks, 0
        self._file: IO[bytes] | None = None
        self._names: list[str] = []
        self._counts: list[int] = []
        self._shard_bytes = self._bytes = 0
        self._started = self._reported = time.monotonic()

    def write(self, blocks: Iterable[Block], features: Mapping[str, Feature]) -> tuple[Shard, ...]:
        """Write all blocks; returns the files, which are on the disk.

        Raises:
            RunError: BAD_CONFIG beyond the limit, or where the disk cannot be written.
        """
        encode = make_encoder(features)
        with contextlib.ExitStack() as closing:
            closing.callback(self._end)
            for block in blocks:
                for row in range(len(next(iter(block.values())))):
                    self._append(tfrecord.framed(encode(block, row)))
                self._blocks += 1
                self._report()
        return tuple(
            Shard(str(self._place / name), count)
            for name, count in zip(self._names, self._counts, strict=True)
        )

    def _append(self, record: bytes) -> None:
        self._bytes += len(record)
        if self._bytes > self._limit:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"split {self._split!r}: more than {self._limit} bytes after "
                f"{sum(self._counts)} examples, the limit of what is kept below --stage_dir; "
                "raise --stage_bytes; or, where the data never end, say how many: dataset.take(n)",
            )
        if self._file is None or self._shard_bytes + len(record) > _SHARD_BYTES:
            self._next()
        with local_io(self._place, "--stage_dir"):
            self._file.write(record)  # type: ignore[union-attr]
        self._shard_bytes += len(record)
        self._counts[-1] += 1

    def _next(self) -> None:
        self._end()
        self._names.append(f"{self._split}-{len(self._names):05d}.tfrecord")
        self._counts.append(0)
        self._shard_bytes = 0
        with local_io(self._place, "--stage_dir"):
            self._file = (self._place / self._names[-1]).open("wb")

    def _end(self) -> None:
        if self._file is not None:
            with local_io(self._place, "--stage_dir"), self._file as file:
                file.flush()
                os.fsync(file.fileno())
        self._file = None

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported < _REPORT_SECS:
            return
        self._reported = now
        count, secs = sum(self._counts), now - self._started
        line = f"keeping {self._split}: {count:,} examples, {self._bytes / 1e6:,.0f} MB"
        line += f", {count / secs:,.0f} examples/s"
        if self._num_blocks > 0:
            left = secs * (self._num_blocks - self._blocks) / self._blocks
            line += f", {self._blocks / self._num_blocks:.0%}, {left:,.0f} s left"
        print(line, file=sys.stderr, flush=True)


def stored_as(block: Block, classes: str = "") -> dict[str, Feature]:
    """Return the features of records that hold such blocks.

    Args:
        block: any one.
        classes: the feature that holds classes; empty: none.
    """
    return {name: _feature(array, name == classes) for name, array in block.items()}


def _feature(array: np.ndarray, is_class: bool) -> Feature:
    if array.dtype == object:
        return Feature(array.shape[1:], "string")
    return Feature(array.shape[1:], array.dtype.name, encoding="" if is_class else "raw")


def make_encoder(features: Mapping[str, Feature]) -> Callable[[Block, int], bytes]:
    """Return the function from a block and a row of it to a serialized `tf.train.Example`."""
    import tensorflow as tf

    def encode(block: Block, row: int) -> bytes:
        made = {name: value(block[name][row], feature) for name, feature in features.items()}
        return bytes(tf.train.Example(features={"feature": made}).SerializeToString())

    def value(array: np.ndarray, feature: Feature) -> "tf.train.Feature":
        if feature.encoding == "raw":
            return tf.train.Feature(bytes_list={"value": [array.tobytes()]})
        if feature.dtype == "string":
            return tf.train.Feature(
                bytes_list={"value": np.asarray(array, object).ravel().tolist()}
            )
        return tf.train.Feature(int64_list={"value": [int(array)]})

    return encode
