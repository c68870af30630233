"""Reads any example of a split from its shards: one seek, exactly its bytes."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature, Section
from trainer.data.records import tfrecord
from trainer.data.records.files import open_shards
from trainer.data.records.indexes import read_index
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.records.shard_reader import OpenShard, ShardReader
from trainer.storage.failures import local_read

if TYPE_CHECKING:
    import tensorflow as tf

_CHECKED_AT_ONCE = 1024


class RecordReader(ShardReader):
    """Serves the records of a split by example id; see `ShardReader`.

    These are the `Examples` of every source of records. What is read of an example is its record;
    TensorFlow is imported where that is decoded, as datasets are described before.
    """

    def __init__(self, plan: ReadPlan) -> None:
        super().__init__(plan, {"record": Feature((), "string")})
        urls = [section.shard.url for section in self._sections]
        self._closing = contextlib.ExitStack()
        self._shards = self._closing.enter_context(open_shards(urls, plan.visits, plan.stage))
        self._keys_checked = False

    def read(self, served: Served) -> list[np.ndarray]:
        """Return the records of examples, object[n] of bytes.

        Raises:
            RunError: BAD_DATA naming file, record and byte; and what brings or reads a file raises.
        """
        (records,) = super().read(served)
        if not self._keys_checked:
            self._keys_checked = True
            _check_keys(records, self._plan, type(self))
        return [records]

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """Return feature -> [size, ...] of a dataset of records, string[size]."""
        from trainer.data.records import decode

        return decode.decode_blocks(stored, self._plan.features, size)

    def check(self, served: Served) -> None:
        """Find the record that cannot be decoded; see `undecodable.check`."""
        from trainer.data.records import undecodable

        (records,), places = self.read(served), self.places(served)
        undecodable.check(dict(zip(places, records, strict=True)), self._plan.features)

    def close(self) -> None:
        """Close all files; the reader is not used again."""
        super().close()
        self._closing.close()

    def _open_shard(self, section: Section, visit: int) -> OpenShard:
        with contextlib.ExitStack() as closing:
            path, url = closing.enter_context(self._shards(visit)), section.shard.url
            skip_bad = self._plan.info.config.skip_bad_records
            index = read_index(path, url, self._plan.stage.index_path, skip_bad=skip_bad)
            check_count(len(index.offsets), path, section)
            with local_read(url):  # its index was kept, the file may not be there
                file = os.open(path, os.O_RDONLY)
            closing.callback(os.close, file)
            return _OpenFile(url, file, index, closing.pop_all())


@dataclasses.dataclass(frozen=True)
class _OpenFile:
    url: str
    file: int
    index: tfrecord.Index
    closing: contextlib.ExitStack

    def read(self, numbers: np.ndarray) -> list[list[bytes]]:
        """Return some records, given in ascending order; neighbours are read in one go."""
        starts = np.asarray(self.index.offsets)[numbers]
        ends = starts + np.asarray(self.index.lengths)[numbers]
        new = np.concatenate([[True], starts[1:] != ends[:-1] + tfrecord.GAP])
        first, run = np.flatnonzero(new), np.cumsum(new) - 1
        begins, last = starts[first], np.append(first[1:], len(numbers)) - 1
        spans = zip((ends[last] - begins).tolist(), begins.tolist(), strict=True)
        with local_read(self.url):
            data = [os.pread(self.file, size, begin) for size, begin in spans]
        # No list for each record: Python's collector would walk the whole process for them.
        cuts = [numbers.tolist() for numbers in (run, starts - begins[run], ends - begins[run])]
        found = [data[number][start:end] for number, start, end in zip(*cuts, strict=True)]
        checksums = np.asarray(self.index.checksums)[numbers]
        wrong = np.flatnonzero(tfrecord.masked_crcs(found) != checksums)
        if wrong.size:
            where = self.where(int(numbers[wrong[0]]))
            raise tfrecord.damage(where, "does not match its checksum")
        return [found]

    def where(self, number: int) -> str:
        return tfrecord.place(self.url, number, self.index.offsets[number])

    def close(self) -> None:
        self.closing.close()


def _check_keys(records: np.ndarray, plan: ReadPlan, kind: type[RecordReader]) -> None:
    """Refuse an optional key of which no record at all holds a value: it would be all padding.

    The first records almost always settle it; only where they do not, all are read.
    """
    optional = {name: feature for name, feature in plan.features.items() if feature.padded}
    if not optional:
        return
    from trainer.data.records import undecodable

    if missing := undecodable.unheld(records, optional):
        missing = undecodable.unheld(_all_records(plan, kind), missing)
    for name in missing:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{plan.split.shards[0].url}: no record holds a value of the key {name!r}; "
            f"{undecodable.keys_in_words(records[0], name)}; correct the feature spec in "
            "config.dataset.args",
        )


def _all_records(plan: ReadPlan, kind: type[RecordReader]) -> Iterator[bytes]:
    """Give the records of all files that the plan's dataset uses, whatever is cut off of them."""
    for split in filter(None, (plan.split, plan.info.train, plan.info.evaluation)):
        count = sum(shard.num_examples for shard in split.shards)
        whole = dataclasses.replace(split, start=0, stop=count, joined=())
        visits = range(len(whole.sections))
        features = {n: f for n, f in plan.features.items() if not f.padded}
        with contextlib.closing(
            kind(dataclasses.replace(plan, split=whole, features=features, visits=visits))
        ) as reader:
            for visit, size in enumerate(whole.sizes):
                first = sum(whole.sizes[:visit])
                for start in range(0, size, _CHECKED_AT_ONCE):
                    ids = first + np.arange(start, min(start + _CHECKED_AT_ONCE, size))
                    at = np.full(len(ids), visit)
                    yield from reader.read(Served(ids, at, at))[0]


def check_count(found: int, path: Path, section: Section) -> None:
    """Refuse a shard that does not hold what it has to: BAD_DATA with both numbers."""
    shard = section.shard
    if found != shard.num_examples:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{shard.url}: holds {found} records up to byte {path.stat().st_size}, "
            f"{shard.num_examples} are expected; bring back the whole file, or set "
            "config.dataset.skip_bad_records=true to go on with what is there",
        )
