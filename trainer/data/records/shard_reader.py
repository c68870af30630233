"""Reads any example of a split from the shards that hold it; what all readers share."""

import abc
import resource
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from trainer import failpoints
from trainer.data.info import Feature, Section
from trainer.data.records.files import file_bytes
from trainer.data.records.read_plan import ReadPlan, Served


class OpenShard(Protocol):
    """A shard that examples are read from, by their number in it."""

    def read(self, numbers: np.ndarray) -> Sequence[Sequence[bytes] | np.ndarray]:
        """Return [n, ...] for each of what is stored; the numbers ascend."""

    def where(self, number: int) -> str:
        """Return the place of an example, for a message."""

    def close(self) -> None:
        """Close the file."""


class ShardReader(abc.ABC):
    """Serves the examples of a split by their id.

    Shards are opened as visits reach them and closed as soon as no later visit needs them, so that
    staged copies and indexes can go. Calls come one after another.

    Args:
        plan: what is read.
        stored: what is read of an example, see `Examples`.
    """

    def __init__(self, plan: ReadPlan, stored: Mapping[str, Feature]) -> None:
        self._plan = plan
        self.stored = stored
        self._sections = plan.split.sections
        self._starts = np.cumsum([0, *plan.split.sizes[:-1]])
        self._firsts = np.asarray([section.first for section in self._sections])
        first = self._sections[0].shard
        num_bytes = first.num_bytes or file_bytes(first.url)
        self.example_bytes = max(1, num_bytes // max(1, first.num_examples))
        _allow_open_files(len(self._sections))
        self._open: dict[int, OpenShard] = {}
        self._lock = threading.Lock()  # a pipeline that failed may still be reading ahead

    @abc.abstractmethod
    def _open_shard(self, section: Section, visit: int) -> OpenShard:
        """Open the shard of a visit."""

    def read(self, served: Served) -> list[np.ndarray]:
        """Return the examples as they are stored: [n, ...] for each of `stored`.

        Raises:
            RunError: BAD_DATA naming the place; and what brings or reads a file raises.
        """
        failpoints.reach("data.read")
        with self._lock:
            return self._read(served)

    def places(self, served: Served) -> list[str]:
        """Return the place of each example, for messages."""
        numbers = self._numbers(served.ids).tolist()
        visits = served.visits.tolist()
        return [self._visit(v).where(n) for v, n in zip(visits, numbers, strict=True)]

    def close(self) -> None:
        """Close all files; the reader is not used again."""
        with self._lock:
            for shard in self._open.values():
                shard.close()
            self._open.clear()

    def _read(self, served: Served) -> list[np.ndarray]:
        """Read what is asked for, shard by shard; those before the first visits are closed."""
        ids, visits, first_visits = served
        columns = [empty(len(ids), feature) for feature in self.stored.values()]
        numbers = self._numbers(ids)
        # Cut where shards can be closed: open together are those of one window, not of one call.
        for part in np.split(np.arange(len(ids)), np.flatnonzero(np.diff(first_visits)) + 1):
            for visit in [v for v in self._open if v < first_visits[part[0]]]:
                self._open.pop(visit).close()
            part = part[np.lexsort((numbers[part], visits[part]))]  # noqa: PLW2901
            for mine in np.split(part, np.flatnonzero(np.diff(visits[part])) + 1):
                found = self._visit(int(visits[mine[0]])).read(numbers[mine])
                for column, values in zip(columns, found, strict=True):
                    column[mine] = values
        return columns

    def _numbers(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of each example in its shard."""
        sections = np.searchsorted(self._starts, ids, "right") - 1
        return ids - self._starts[sections] + self._firsts[sections]

    def _visit(self, visit: int) -> OpenShard:
        if visit not in self._open:
            self._open[visit] = self._open_shard(self._sections[self._plan.visits[visit]], visit)
        return self._open[visit]


def empty(count: int, feature: Feature) -> np.ndarray:
    """Return [count, ...] for values of a feature; text is bytes objects."""
    dtype = object if feature.dtype == "string" else feature.dtype
    return np.empty([count, *(d or 0 for d in feature.shape)], dtype)


def _allow_open_files(count: int) -> None:
    """Raise the soft limit of open files: a shuffle of everything keeps all shards open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
