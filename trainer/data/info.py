"""What is known of a dataset before an example is read; standard library only.

A source describes a dataset in these words; every other room of `trainer.data`, and the tasks, only
read them.
"""

import bisect
import collections
import dataclasses
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from trainer.config import DatasetConfig

if TYPE_CHECKING:
    import numpy as np

Arrays: TypeAlias = "Mapping[str, np.ndarray]"
"""Feature -> [examples, ...]."""

ORDER_VERSION = 2
"""Raised whenever the same config would serve its examples in another order."""

PIXEL_DTYPES = ("uint8", "uint16")
_HASHED_BYTES = 16 << 20
_MOST_NAMED = 4096
_WIDTHS = {"uint8": 1, "bool": 1, "int8": 1, "bfloat16": 2, "float16": 2, "uint16": 2, "int16": 2}


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
        role: what the numbers mean, one of `sources.roles.ROLES`; "" where nothing depends on it.
        sequence: one of the lists of a `tf.train.SequenceExample`; `shape` begins with its steps.
        ignore: the class that counts in no loss and no metric, as 255 of many masks; or None.
        classes: names of the classes of a label that is stored as text, in the order of numbers.
    """

    shape: tuple[int | None, ...]
    dtype: str
    num_classes: int | None = None
    encoding: str = ""
    padded: bool = False
    pad_value: float = 0
    resized: bool = False
    role: str = ""
    sequence: bool = False
    ignore: int | None = None
    classes: tuple[str, ...] = ()

    @property
    def is_pixels(self) -> bool:
        """Whether the values have the form of an image: [height, width, channels] of bytes."""
        return self.dtype in PIXEL_DTYPES and len(self.shape) == 3

    @property
    def is_image(self) -> bool:
        """Whether the values are pixels: served as they are stored, seen as float32 in [0, 1]."""
        return self.is_pixels and self.role in ("", "image")

    @property
    def num_bytes(self) -> int:
        """Size of one decoded value; unknown dimensions count as 1."""
        width = _WIDTHS.get(self.dtype, 8 if "64" in self.dtype else 4)
        return math.prod(d or 1 for d in self.shape) * width


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of examples.

    Attributes:
        url: where it is.
        num_examples: that it must hold.
        num_bytes: of the file.
        crc32c: of what it holds.
    """

    url: str
    num_examples: int
    num_bytes: int = 0
    crc32c: int = 0

    @property
    def name(self) -> str:
        """Without its folder: the same files may be in a bucket or here."""
        return self.url.rpartition("/")[2]

    @property
    def content(self) -> str:
        """What tells this content of the file from another."""
        return f"{self.num_examples} examples, {self.num_bytes} bytes, CRC-32C {self.crc32c:08x}"


class Section(NamedTuple):
    """The part of a shard that a split uses: `size` examples from `first` on."""

    shard: Shard
    first: int
    size: int


@dataclasses.dataclass(frozen=True)
class Split:
    """Examples `start` to `stop` of shards laid end to end; example ids count from `start`.

    The ranges that `train[:20%]+train[40%:]` joins are laid end to end before that.

    Attributes:
        name: of the whole split, without a slice.
        shards: of the whole split.
        start: first example.
        stop: one after the last.
        arrays: of the whole split, where the examples are not in files.
        batches: the `PyDataset` of the whole split, where they are read from one.
        skipped: examples that are left out, counted from `start` as if they were not; ascending.
        joined: ranges of the shards that it joins; empty: one, of all.
    """

    name: str
    shards: tuple[Shard, ...]
    start: int
    stop: int
    arrays: "Arrays | None" = dataclasses.field(default=None, compare=False, repr=False)
    batches: Any = dataclasses.field(default=None, compare=False, repr=False)
    skipped: tuple[int, ...] = ()
    joined: tuple[tuple[int, int], ...] = ()

    @property
    def num_examples(self) -> int:
        """N."""
        return self.stop - self.start - len(self.left_out)

    @property
    def left_out(self) -> tuple[int, ...]:
        """Those of `skipped` before `stop`."""
        return self.skipped[: bisect.bisect_left(self.skipped, self.stop - self.start)]

    def rows(self) -> "Arrays | None":
        """Return the arrays of its own examples alone."""
        if self.arrays is None:
            return None
        (start, stop), *others = self.ranges
        if not others:
            return {n: array[start:stop] for n, array in self.arrays.items()}
        import numpy as np

        pieces = [slice(*piece) for piece in self.ranges]
        return {n: np.concatenate([a[piece] for piece in pieces]) for n, a in self.arrays.items()}

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Its examples as ranges of the shards laid end to end."""
        if not self.joined:
            return [(self.start, self.stop)]
        found, position = [], 0
        for begin, end in self.joined:
            first = max(self.start - position, 0)
            last = min(self.stop - position, end - begin)
            if first < last:
                found.append((begin + first, begin + last))
            position += end - begin
        return found

    @functools.cached_property
    def sections(self) -> tuple[Section, ...]:
        """What the split uses of its shards; a shard of which it uses nothing is left out."""
        ends = [0, *itertools.accumulate(shard.num_examples for shard in self.shards)]
        sections = []
        for start, stop in self.ranges:
            for shard, begin, end in zip(self.shards, ends, ends[1:], strict=False):
                first, last = max(start, begin), min(stop, end)
                if first < last:
                    sections.append(Section(shard, first - begin, last - first))
        return tuple(sections)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Examples in each section, without those that are left out."""
        if not self.skipped:
            return tuple(section.size for section in self.sections)
        ends = itertools.accumulate((section.size for section in self.sections), initial=0)
        before = [end - bisect.bisect_left(self.skipped, end) for end in ends]
        return tuple(stop - start for start, stop in itertools.pairwise(before))


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """A dataset as the config asks for it.

    Attributes:
        config: that asks for it; its name selects the source.
        source: its folder, pattern or function.
        features: of an example as it is stored.
        train: what is trained on.
        evaluation: what is evaluated on, or None.
        skipped: a line for each damaged stretch that is left out.
    """

    config: DatasetConfig
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

        Names, counts and checksums of the files are in it, their folder is not: the same files may
        be in a bucket or here.
        """
        return self._fingerprint

    def without_strings(self) -> "DatasetInfo":
        """Return the dataset without its strings, which no compiled program can hold."""
        features = {n: f for n, f in self.features.items() if f.dtype != "string"}
        return dataclasses.replace(self, features=features)

    @property
    def num_shared(self) -> int:
        """Examples that are evaluated on as well as trained on."""
        if self.evaluation is None:
            return 0
        held = collections.defaultdict(list)
        for shard, first, size in self.train.sections:
            held[shard.url].append((first, first + size))
        return sum(
            max(0, min(first + size, last) - max(first, start))
            for shard, first, size in self.evaluation.sections
            for start, last in held[shard.url]
        )

    def contents(self) -> dict[str, str]:
        """Return name -> content of the files, so that it can be said which one has changed.

        Of very many files nothing: every checkpoint holds what this returns.
        """
        splits = [split for split in (self.train, self.evaluation) if split]
        if sum(len(split.shards) for split in splits) > _MOST_NAMED:
            return {}
        return {f"{s.name} ({split.name})": s.content for split in splits for s in split.shards}

    @functools.cached_property
    def _fingerprint(self) -> str:
        splits = [_identity(s) for s in (self.train, self.evaluation) if s]
        features = {n: dataclasses.astuple(f) for n, f in sorted(self.features.items())}
        text = json.dumps([ORDER_VERSION, splits, features])
        return hashlib.sha256(text.encode()).hexdigest()


def _identity(split: Split) -> list[object]:
    shards = [(shard.name, shard.content) for shard in split.shards]
    arrays = [_digest(array) for _, array in sorted((split.arrays or {}).items())]
    left_out = [list(split.skipped)] if split.skipped else []
    return [split.name, shards, split.start, split.stop, split.joined, arrays, *left_out]


def _digest(array: "np.ndarray") -> str:
    """Hash the bytes of an array part by part: memory-mapped, it may be larger than the memory."""
    digest = hashlib.sha256()
    if array.dtype.kind == "O":  # text, of which the array holds no more than where it is
        for text in array.ravel():
            digest.update(len(text).to_bytes(8, "little") + text)
        return digest.hexdigest()
    rows = max(1, _HASHED_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        digest.update(array[start : start + rows].tobytes())
    return digest.hexdigest()
