"""Reads any example of a split from its shards: one seek, exactly its bytes."""

import contextlib
import dataclasses
import os
import resource
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import failpoints
from trainer.data.info import Feature, Section
from trainer.data.records import tfrecord
from trainer.data.records.files import file_bytes, open_shards
from trainer.data.records.indexes import read_index
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.storage.failures import local_read

if TYPE_CHECKING:
    import tensorflow as tf

_CHECKED_AT_ONCE = 1024


class RecordReader:
    """Serves the records of a split by example id.

    Shards are opened as visits reach them and closed as soon as no later visit needs them, so that
    staged copies and indexes can go. Calls come one after another.

    These are the `Examples` of every source of TFRecord files. What is read of an example is its
    record; TensorFlow is imported where that is decoded, as datasets are described before.

    Args:
        plan: what is read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._plan = plan
        self._sections = plan.split.sections
        self._starts = np.cumsum([0, *plan.split.sizes[:-1]])
        self._firsts = np.asarray([section.first for section in self._sections])
        first = self._sections[0].shard
        self.stored: Mapping[str, Feature] = {"record": Feature((), "string")}
        self.example_bytes = max(1, file_bytes(first.url) // max(1, first.num_examples))
        urls = [section.shard.url for section in self._sections]
        _allow_open_files(len(self._sections))
        self._closing = contextlib.ExitStack()
        self._shards = self._closing.enter_context(open_shards(urls, plan.visits, plan.stage))
        self._open: dict[int, _OpenShard] = {}
        self._lock = threading.Lock()  # a pipeline that failed may still be reading ahead
        self._keys_checked = False

    def read(self, served: Served) -> list[np.ndarray]:
        """Return the records of examples, object[n] of bytes.

        Raises:
            RunError: BAD_DATA naming file, record and byte; and what brings or reads a file raises.
        """
        failpoints.reach("data.read")
        with self._lock:
            records = self._read(served)
        if not self._keys_checked:
            self._keys_checked = True
            _check_keys(records, self._plan)
        return [records]

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """Return feature -> [size, ...] of a dataset of records, string[size]."""
        from trainer.data.records import decode

        return decode.decode_blocks(stored, self._plan.features, size)

    def check(self, served: Served) -> None:
        """Find the record that cannot be decoded; see `decode.check`."""
        from trainer.data.records import decode

        (records,), numbers = self.read(served), self._records(served.ids)
        places = [
            self._visit(visit).where(number)
            for visit, number in zip(served.visits.tolist(), numbers.tolist(), strict=True)
        ]
        decode.check(dict(zip(places, records, strict=True)), self._plan.features)

    def close(self) -> None:
        """Close all files; the reader is not used again."""
        with self._lock:
            for shard in self._open.values():
                shard.close()
            self._open.clear()
            self._closing.close()

    def _read(self, served: Served) -> np.ndarray:
        """Read what is asked for, shard by shard; those before the first visits are closed."""
        ids, visits, first_visits = served
        records = np.empty(len(ids), object)
        numbers = self._records(ids)
        # Cut where shards can be closed: open together are those of one window, not of one call.
        for part in np.split(np.arange(len(ids)), np.flatnonzero(np.diff(first_visits)) + 1):
            for visit in [v for v in self._open if v < first_visits[part[0]]]:
                self._open.pop(visit).close()
            part = part[np.lexsort((numbers[part], visits[part]))]  # noqa: PLW2901
            for mine in np.split(part, np.flatnonzero(np.diff(visits[part])) + 1):
                records[mine] = self._visit(int(visits[mine[0]])).read(numbers[mine])
        return records

    def _records(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of each example in its shard."""
        sections = np.searchsorted(self._starts, ids, "right") - 1
        return ids - self._starts[sections] + self._firsts[sections]

    def _visit(self, visit: int) -> "_OpenShard":
        if visit not in self._open:
            self._open[visit] = self._open_shard(self._sections[self._plan.visits[visit]], visit)
        return self._open[visit]

    def _open_shard(self, section: Section, visit: int) -> "_OpenShard":
        with contextlib.ExitStack() as closing:
            path, url = closing.enter_context(self._shards(visit)), section.shard.url
            skip_bad = self._plan.info.config.skip_bad_records
            index = read_index(path, url, self._plan.stage.index_path, skip_bad=skip_bad)
            _check_count(len(index.offsets), path, section)
            with local_read(url):  # its index was kept, the file may not be there
                file = os.open(path, os.O_RDONLY)
            closing.callback(os.close, file)
            return _OpenShard(url, file, index, closing.pop_all())


@dataclasses.dataclass(frozen=True)
class _OpenShard:
    url: str
    file: int
    index: tfrecord.Index
    closing: contextlib.ExitStack

    def read(self, records: np.ndarray) -> list[bytes]:
        """Return some records, given in ascending order; neighbours are read in one go."""
        starts = np.asarray(self.index.offsets)[records]
        ends = starts + np.asarray(self.index.lengths)[records]
        new = np.concatenate([[True], starts[1:] != ends[:-1] + tfrecord.GAP])
        first, run = np.flatnonzero(new), np.cumsum(new) - 1
        begins, last = starts[first], np.append(first[1:], len(records)) - 1
        spans = zip((ends[last] - begins).tolist(), begins.tolist(), strict=True)
        with local_read(self.url):
            data = [os.pread(self.file, size, begin) for size, begin in spans]
        cuts = np.stack([run, starts - begins[run], ends - begins[run]], axis=1).tolist()
        found = [data[number][start:end] for number, start, end in cuts]
        checksums = np.asarray(self.index.checksums)[records]
        wrong = np.flatnonzero(tfrecord.masked_crcs(found) != checksums)
        if wrong.size:
            where = self.where(int(records[wrong[0]]))
            raise tfrecord.damage(where, "does not match its checksum")
        return found

    def where(self, record: int) -> str:
        return tfrecord.place(self.url, record, self.index.offsets[record])

    def close(self) -> None:
        self.closing.close()


def _check_keys(records: np.ndarray, plan: ReadPlan) -> None:
    """Refuse an optional key of which no record at all holds a value: it would be all padding.

    The first records almost always settle it; only where they do not, all are read.
    """
    from trainer.data.records import decode

    missing = decode.unheld_keys(records, decode.optional_keys(plan.features))
    if missing:
        missing = decode.unheld_keys(_all_records(plan), missing)
    if missing:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{plan.split.shards[0].url}: no record holds a value of the key {missing[0]!r}; "
            f"{decode.keys_in_words(records[0], missing[0])}; correct the feature spec in "
            "config.dataset.args",
        )


def _all_records(plan: ReadPlan) -> Iterator[bytes]:
    """Give the records of all files that the plan's dataset uses, whatever is cut off of them."""
    for split in filter(None, (plan.split, plan.info.train, plan.info.evaluation)):
        count = sum(shard.num_examples for shard in split.shards)
        whole = dataclasses.replace(split, start=0, stop=count)
        visits = range(len(whole.sections))
        features = {n: f for n, f in plan.features.items() if not f.padded}
        with contextlib.closing(
            RecordReader(dataclasses.replace(plan, split=whole, features=features, visits=visits))
        ) as reader:
            for visit, size in enumerate(whole.sizes):
                first = sum(whole.sizes[:visit])
                for start in range(0, size, _CHECKED_AT_ONCE):
                    ids = first + np.arange(start, min(start + _CHECKED_AT_ONCE, size))
                    at = np.full(len(ids), visit)
                    yield from reader.read(Served(ids, at, at))[0]


def _check_count(found: int, path: Path, section: Section) -> None:
    shard = section.shard
    if found != shard.num_examples:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{shard.url}: holds {found} records up to byte {path.stat().st_size}, "
            f"{shard.num_examples} are expected; bring back the whole file, or set "
            "config.dataset.skip_bad_records=true to go on with what is there",
        )


def _allow_open_files(count: int) -> None:
    """Raise the soft limit of open files: a shuffle of everything keeps all shards open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
