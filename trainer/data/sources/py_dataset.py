"""A `keras.utils.PyDataset` of the user's: batches by number, read as they are needed, not kept.

Each batch counts as a shard: a window of the order keeps its batches together.
"""

import collections
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Shard
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.records.shard_reader import empty
from trainer.data.records.writing import Block
from trainer.data.sources import elements, labels, splits

if TYPE_CHECKING:
    import tensorflow as tf

_SAMPLED = 16
_MEMORY_BYTES = 256 << 20


def is_one(value: Any) -> bool:
    """Whether a value is a `PyDataset`."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.utils.PyDataset)


def of(returned: Mapping[str, Any], config: DatasetConfig) -> DatasetInfo:
    """Return the dataset of PyDatasets: split -> one.

    The fingerprint holds the content of some batches, spread evenly, and the sizes of all. Classes
    are told by an attribute `num_classes`; without one all batches are read to count them.

    Raises:
        RunError: BAD_CONFIG or BAD_DATA naming split and batch.
    """
    shards: splits.Shards = {}
    features: dict[str, Feature] = {}
    extents: dict[str, labels.Extent] = {}
    label, told = elements.label_name(config), 0
    for split, dataset in returned.items():
        batches = Batches(dataset, config, f"config.dataset.name={config.name!r}, split {split!r}")
        first = batches.read(0)
        found = {n: Feature(a.shape[1:], _dtype(a)) for n, a in first.items()}
        features = features or found
        if found != features:
            raise batches.refusal(ExitCode.BAD_CONFIG, f"features {found}, and not {features}")
        told = max(told, int(getattr(dataset, "num_classes", 0) or 0))
        counts = label in found and labels.is_class(label, found[label], config)
        shards[split], extents[split] = batches.survey(
            split, first, label if counts and not told else ""
        )
    if label in features and labels.is_class(label, features[label], config):
        count = told or labels.num_classes(extents, label, config)
        features[label] = Feature((), features[label].dtype, num_classes=count)
    return splits.choose(config, config.name, features, shards, batches=returned)


class Batches:
    """The batches of a PyDataset as arrays of the features.

    Args:
        dataset: of the user.
        config: names the label.
        where: field and split, for the messages.

    Raises:
        RunError: BAD_CONFIG where there is no number of batches.
    """

    def __init__(self, dataset: Any, config: DatasetConfig, where: str) -> None:
        self._dataset, self._config, self._where = dataset, config, where
        num_batches = dataset.num_batches
        if not num_batches:
            raise self.refusal(
                ExitCode.BAD_CONFIG,
                f"num_batches is {num_batches}; give its __len__ the number of batches of an epoch",
            )
        self.num_batches = int(num_batches)

    def read(self, number: int) -> Block:
        """Return a batch: feature -> [n, ...]."""
        where = f"{self._where}, batch {number}"
        leaves = elements.flat(self._dataset[number], elements.label_name(self._config), where)
        return next(elements.blocks([leaves], self._config, where, is_batch=True))

    def survey(
        self, split: str, first: Block, counted: str
    ) -> tuple[tuple[Shard, ...], labels.Extent]:
        """Return the batches as shards, and the extent of a feature of all of them.

        Args:
            split: by its name.
            first: batch 0; it is read once more, which has to give the same.
            counted: that feature; empty: none, and few batches are read.
        """
        elements.refuse_another(dict(first), dict(self.read(0)), f"{self._where}, batch 0")
        size, last = _size(first), self.num_batches - 1
        last_batch = self.read(last) if last else first
        if _size(last_batch) > size:
            raise self.refusal(ExitCode.BAD_DATA, _of_another_size(last, last_batch, size))
        sizes = [size] * last + [_size(last_batch)]
        extent = labels.Extent(0, 0, 0, 0)
        spread = np.linspace(0, last, _SAMPLED).astype(int).tolist()
        shards = {n: Shard(_name(split, n), sizes[n]) for n in range(self.num_batches)}
        for number in range(self.num_batches) if counted else sorted(set(spread)):
            batch = {0: first, last: last_batch}.get(number) or self.read(number)
            if _size(batch) != sizes[number]:
                raise self.refusal(ExitCode.BAD_DATA, _of_another_size(number, batch, size))
            shards[number] = Shard(_name(split, number), sizes[number], *_sum(batch))
            if counted:
                values = labels.counted(batch[counted], counted, self._config)
                extent = extent.with_next(values)
        return tuple(shards.values()), extent

    def refusal(self, code: ExitCode, reason: str) -> RunError:
        """Return the error that names the split."""
        return RunError(code, f"{self._where}: {reason}")


class BatchExamples:
    """See `source.Examples`: examples of a PyDataset; batches read last stay in memory.

    Args:
        plan: what is read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self.stored = plan.features
        self.example_bytes = max(1, sum(f.num_bytes for f in plan.features.values()))
        config = self._config = plan.info.config
        self._where = f"config.dataset.name={config.name!r}, split {plan.split.name!r}"
        self._batches = Batches(plan.split.batches, config, self._where)
        self._sizes = [shard.num_examples for shard in plan.split.shards]
        self._ranges = plan.split.ranges
        self._recent: collections.OrderedDict[int, Block] = collections.OrderedDict()
        self._lock = threading.Lock()  # a pipeline that failed may still be reading ahead

    def read(self, served: Served) -> list[np.ndarray]:
        """See `source.Examples`."""
        numbers, rows = np.divmod(self._places(served.ids), self._sizes[0])
        found = {name: empty(len(rows), f) for name, f in self.stored.items()}
        for number in np.unique(numbers).tolist():
            with self._lock:
                batch = self._batch(number)
            mine = np.flatnonzero(numbers == number)
            for name, values in found.items():
                values[mine] = batch[name][rows[mine]]
        return list(found.values())

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """See `source.Examples`."""
        del size
        return stored.map(lambda *values: dict(zip(self.stored, values, strict=True)))

    def check(self, served: Served) -> None:
        """See `source.Examples`: batches are checked as they are read."""
        self.read(served)

    def close(self) -> None:
        """See `source.Examples`."""
        self._recent.clear()

    def _places(self, ids: np.ndarray) -> np.ndarray:
        """Return where examples lie in all batches, laid end to end."""
        starts = np.array([start for start, _ in self._ranges])
        ends = np.cumsum([stop - start for start, stop in self._ranges])
        piece = np.searchsorted(ends, ids, side="right")
        return ids - (ends - np.diff(ends, prepend=0))[piece] + starts[piece]

    def _batch(self, number: int) -> Block:
        if number in self._recent:
            self._recent.move_to_end(number)
            return self._recent[number]
        batch = self._batches.read(number)
        self._check(number, batch)
        self._recent[number] = batch
        most = max(1, _MEMORY_BYTES // (self.example_bytes * self._sizes[0]))
        while len(self._recent) > most:
            self._recent.popitem(last=False)
        return batch

    def _check(self, number: int, batch: Block) -> None:
        if _size(batch) != self._sizes[number]:
            reason = _of_another_size(number, batch, self._sizes[number])
            raise self._batches.refusal(ExitCode.BAD_DATA, reason)
        for name, feature in self.stored.items():
            array = batch.get(name, np.empty(0))
            if (array.shape[1:], _dtype(array)) != (feature.shape, feature.dtype):
                raise self._batches.refusal(
                    ExitCode.BAD_DATA,
                    f"batch {number}: {name!r} is {_dtype(array)}{list(array.shape[1:])}, and "
                    f"{feature.dtype}{list(feature.shape)} in batch 0",
                )
            counted = labels.counted(array, name, self._config) if feature.num_classes else array
            if feature.num_classes is not None and not _within(counted, feature.num_classes):
                raise self._batches.refusal(
                    ExitCode.BAD_DATA,
                    f"batch {number}: {name!r} is {array.min()} to {array.max()}, and no label in "
                    f"0..{feature.num_classes - 1}",
                )


def _of_another_size(number: int, batch: Block, size: int) -> str:
    return (
        f"batch {number} holds {_size(batch)} examples and batch 0 {size}; all but the last have "
        "to be of one size, so that an example can be found"
    )


def _within(array: np.ndarray, num_classes: int) -> bool:
    return bool((array >= 0).all() and (array < num_classes).all())


def _size(batch: Block) -> int:
    return len(next(iter(batch.values())))


def _dtype(array: np.ndarray) -> str:
    return "string" if array.dtype == object else array.dtype.name


def _name(split: str, number: int) -> str:
    return f"{split} batch {number}"


def _sum(batch: Block) -> tuple[int, int]:
    """Return size and CRC-32C of the content of a batch."""
    arrays: Sequence[np.ndarray] = [batch[name] for name in sorted(batch)]
    data = [repr(a.tolist()).encode() if a.dtype == object else a.tobytes() for a in arrays]
    joined = b"".join(data)
    return len(joined), int(google_crc32c.value(joined))
