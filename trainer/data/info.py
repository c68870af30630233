"""What is known of a dataset before an example is read; standard library only."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from common.exit_codes import ExitCode, RunError

if TYPE_CHECKING:
    import numpy as np

ORDER_VERSION = 2
"""Raised whenever the same config would serve its examples in another order."""

_HASHED_BYTES = 16 << 20
_SLICE = re.compile(r"(?P<name>[\w.-]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclasses.dataclass(frozen=True)
class Feature:
    """One feature of an example.

    Attributes:
        shape: without the batch; None where examples differ.
        dtype: of the decoded tensor.
        num_classes: of a label, or None.
        encoding: `image` for PNG or JPEG, `raw` for little-endian bytes, "" for a plain tensor.
        padded: stored values may be fewer than `shape` says.
        pad_value: what then fills up.
        resized: stored images have any size, and are brought to `shape`.
    """

    shape: tuple[int | None, ...]
    dtype: str
    num_classes: int | None = None
    encoding: str = ""
    padded: bool = False
    pad_value: float = 0
    resized: bool = False

    @property
    def is_image(self) -> bool:
        """Whether the values are pixels: served as bytes, seen as float32 in [0, 1]."""
        return self.dtype == "uint8" and len(self.shape) == 3

    @property
    def num_bytes(self) -> int:
        """Size of one decoded value; unknown dimensions count as 1."""
        widths = {"uint8": 1, "bool": 1, "int8": 1, "bfloat16": 2, "float16": 2, "uint16": 2}
        return math.prod(d or 1 for d in self.shape) * widths.get(
            self.dtype, 8 if "64" in self.dtype else 4
        )


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file: where it is, how many examples it must hold, and its bytes."""

    url: str
    num_examples: int
    num_bytes: int = 0


class Section(NamedTuple):
    """The part of a shard that a split uses: `size` examples from `first` on."""

    shard: Shard
    first: int
    size: int


@dataclasses.dataclass(frozen=True)
class Split:
    """Examples `start` to `stop` of shards laid end to end; example ids count from `start`.

    Attributes:
        name: of the whole split, without a slice.
        shards: of the whole split.
        start: first example.
        stop: one after the last.
        arrays: feature -> [examples of the whole split, ...], where they are not in files.
    """

    name: str
    shards: tuple[Shard, ...]
    start: int
    stop: int
    arrays: Mapping[str, "np.ndarray"] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    @property
    def num_examples(self) -> int:
        """N."""
        return self.stop - self.start

    @functools.cached_property
    def sections(self) -> tuple[Section, ...]:
        """What the split uses of its shards; a shard of which it uses nothing is left out."""
        ends = itertools.accumulate(shard.num_examples for shard in self.shards)
        cuts = [
            (shard, max(self.start - end + shard.num_examples, 0), end)
            for shard, end in zip(self.shards, ends, strict=True)
        ]
        sections = [
            Section(
                shard, first, min(shard.num_examples, shard.num_examples - end + self.stop) - first
            )
            for shard, first, end in cuts
        ]
        return tuple(section for section in sections if section.size > 0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Examples in each section."""
        return tuple(section.size for section in self.sections)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """A dataset as the config asks for it.

    Attributes:
        source: its folder, pattern or function.
        features: of an example as it is stored.
        train: what is trained on.
        evaluation: what is evaluated on, or None.
        skipped: a line for each damaged stretch that is left out.
    """

    source: str
    features: Mapping[str, Feature]
    train: Split
    evaluation: Split | None
    skipped: tuple[str, ...] = ()

    @property
    def example_bytes(self) -> int:
        """Size of one decoded example."""
        return sum(f.num_bytes for f in self.features.values())

    @property
    def num_bytes(self) -> int:
        """Size of all splits, decoded."""
        splits = [self.train, self.evaluation] if self.evaluation else [self.train]
        return self.example_bytes * sum(split.num_examples for split in splits)

    def fingerprint(self) -> str:
        """Return SHA-256 over what the examples and their order depend on.

        Names, sizes and counts of the files are in it, their folder is not: the same files may be
        in a bucket or here.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        splits = [
            (s.name, [_identity(shard) for shard in s.shards], s.start, s.stop, _content(s))
            for s in (self.train, self.evaluation)
            if s
        ]
        features = {n: dataclasses.astuple(f) for n, f in sorted(self.features.items())}
        text = json.dumps([ORDER_VERSION, splits, features])
        return hashlib.sha256(text.encode()).hexdigest()


def _identity(shard: Shard) -> tuple[str, int, int]:
    return shard.url.rpartition("/")[2], shard.num_bytes, shard.num_examples


def _content(split: Split) -> list[str]:
    """Return a digest of each array; what is in files is checked when it is read."""
    arrays = split.arrays or {}
    return [_digest(arrays[name]) for name in sorted(arrays)]


def _digest(array: "np.ndarray") -> str:
    """Hash the bytes of an array part by part: memory-mapped, it may be larger than the memory."""
    digest = hashlib.sha256()
    rows = max(1, _HASHED_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        digest.update(array[start : start + rows].tobytes())
    return digest.hexdigest()


def slice_split(spec: str, splits: Mapping[str, tuple[Shard, ...]], field: str) -> Split:
    """Return the split that `spec` names: `train`, `train[:42000]`, `train[-10%:]`.

    Raises:
        RunError: BAD_CONFIG where the form is wrong, there is no such split, or it is empty.
    """
    match = _SLICE.fullmatch(spec)
    if not match:
        raise RunError(
            ExitCode.BAD_CONFIG, f"{field}={spec!r} is not a split such as train or train[:42000]"
        )
    if match["name"] not in splits:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{field}={spec!r}: no such split; the dataset has {', '.join(sorted(splits))}",
        )
    shards = splits[match["name"]]
    total = sum(shard.num_examples for shard in shards)
    start, stop = (_bound(match[end], total, default) for end, default in _ENDS)
    if start >= stop:
        raise RunError(
            ExitCode.BAD_CONFIG, f"{field}={spec!r} is empty: the split holds {total} examples"
        )
    return Split(match["name"], shards, start, stop)


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Cut the last `count` examples off `split`; returns (rest, cut off).

    Raises:
        RunError: BAD_CONFIG where nothing would be left to train on.
    """
    if count >= split.num_examples:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.holdout={count} leaves nothing of {split.num_examples} examples",
        )
    middle = split.stop - count
    return dataclasses.replace(split, stop=middle), dataclasses.replace(split, start=middle)


_ENDS = (("start", 0.0), ("stop", 1.0))


def _bound(text: str | None, total: int, default: float) -> int:
    if text is None:
        return round(default * total)
    value = round(int(text[:-1]) * total / 100) if text.endswith("%") else int(text)
    return min(max(value + total if value < 0 else value, 0), total)
