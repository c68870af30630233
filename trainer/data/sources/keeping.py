"""Keeps the splits of a data function as records, and finds them again.

What is kept counts as long as the code of the function, its arguments and the files that it has
read are the same. Workers of one host share it; every host has its own, as no disk is theirs
together, and the workers compare the fingerprints before they start.
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature
from trainer.data.records import kept
from trainer.data.records.files import Stage
from trainer.data.records.indexes import identify
from trainer.data.records.kept import Kept
from trainer.data.records.writing import Block, Writer, stored_as
from trainer.data.sources import elements, generated, inputs, labels, roles, splits, tf_dataset
from trainer.data.sources.elements import Leaves
from trainer.data.sources.labels import Extent

_VERSION = 1
_LIVE = ""  # in place of a split: nothing is kept


class Pipeline(Protocol):
    """See `tf_dataset.Pipeline`."""

    is_batch: bool
    num_elements: int

    def read(self) -> Iterator[Leaves]:
        """Yield the leaves of each element."""

    def constants(self) -> Iterator[str]:
        """Yield the strings that it was made of."""


class _Blocks(NamedTuple):
    """What a pipeline yields, of which the first block is read."""

    first: Block
    others: Iterator[Block]
    pipeline: Pipeline


class Keeper:
    """Of one dataset; the code of the function is looked at once.

    Args:
        config: names the function.
        stage: where records are kept.
    """

    def __init__(self, config: DatasetConfig, stage: Stage) -> None:
        self._config, self._stage = config, stage
        self.code = inputs.code(config.name.partition(":")[0])

    def find(self) -> DatasetInfo | None:
        """Return the dataset, if all splits that the config uses are kept and still count."""
        found: dict[str, Kept] = {}
        for split in splits.names(self._config):
            one, reasons = kept.find(self._folder(split), self._unlike)
            if one is None:
                for reason in reasons:
                    print(f"split {split!r} is read again: {reason}", file=sys.stderr, flush=True)
                return None
            found[split] = one
        return self._describe(found)

    def keep(
        self,
        returned: Mapping[str, Any],
        build: Callable[[], Mapping[str, Any]],
        opened: Set[str],
    ) -> DatasetInfo:
        """Keep the splits that the config uses, and return the dataset.

        Args:
            returned: by the function.
            build: calls it again.
            opened: files that were opened so far, and those that will be.
        """
        found: dict[str, Kept] = {}
        for split in [name for name in splits.names(self._config) if name in returned]:
            folder = self._folder(split)
            with kept.alone(folder, f"split {split!r} of {self._config.name}"):
                one, _ = kept.find(folder, self._unlike)
                if one is None:
                    # Made anew for each split: what is shuffled, and then cut into splits, comes
                    # in one order only as long as it is read for the first time.
                    blocks = self._blocks(split, returned if not found else build())
                    if not found:
                        self._refuse_another(split, blocks, build())
                    try:
                        one = self._write(split, blocks, opened)
                    except elements.SoftLabelError:  # the first examples did not show it
                        blocks = self._blocks(split, build(), is_soft=True)
                        one = self._write(split, blocks, opened)
                found[split] = one
        return self._describe(found)

    def is_live(self) -> bool:
        """Whether it is known that the function returns nothing that has to be kept."""
        return kept.find(self._folder(_LIVE), self._unlike)[0] is not None

    def note_live(self) -> None:
        """Remember that: it is asked where the function cannot be called to see."""
        if self._stage.apart:
            with kept.alone(self._folder(_LIVE), ""), kept.new(self._folder(_LIVE)) as place:
                kept.commit(place, (), {}, {"code": self.code, "inputs": {}})

    def _blocks(
        self, split: str, returned: Mapping[str, Any], *, is_soft: bool = False
    ) -> "_Blocks":
        where = self._where(split)
        pipeline = _pipeline(returned[split], self._config, where)
        blocks = elements.blocks(
            pipeline.read(), self._config, where, is_batch=pipeline.is_batch, is_soft=is_soft
        )
        return _Blocks(next(blocks), blocks, pipeline)

    def _refuse_another(self, split: str, one: "_Blocks", returned: Mapping[str, Any]) -> None:
        other = self._blocks(split, returned)
        elements.refuse_another(dict(one.first), dict(other.first), self._where(split))

    def _where(self, split: str) -> str:
        return f"config.dataset.name={self._config.name!r}, split {split!r}"

    def _write(self, split: str, blocks: "_Blocks", opened: Set[str]) -> Kept:
        label, pipeline = elements.label_name(self._config), blocks.pipeline
        if label not in blocks.first or not self._is_class(label, _plain(blocks.first[label])):
            label = ""
        features = stored_as(blocks.first, label)
        counted = _Counted(split, label, self._config)
        with kept.new(folder := self._folder(split)) as place:
            writer = Writer(place, split, self._stage.kept_limit(), pipeline.num_elements)
            every = itertools.chain([blocks.first], blocks.others)
            shards = writer.write(map(counted.count, every), features)
            named = set(pipeline.constants())
            paths = {*opened, *named, *inputs.folders(named)}
            stamps = inputs.stamp(_outside(paths, self._stage.path))
            notes = {"code": self.code, "inputs": stamps, "extent": counted.extent}
            kept.commit(place, shards, features, notes)
        size = sum(shard.num_examples for shard in shards)
        print(f"kept {split}: {size:,} examples in {folder}", file=sys.stderr, flush=True)
        return kept.hold(place)

    def _is_class(self, label: str, feature: Feature) -> bool:
        return labels.is_class(label, feature, self._config)

    def _describe(self, found: Mapping[str, Kept]) -> DatasetInfo:
        features = splits.shared_features({split: one.features for split, one in found.items()})
        config, label = self._config, elements.label_name(self._config)
        extents = {split: Extent(*one.notes["extent"]) for split, one in found.items()}
        if label in features and self._is_class(label, features[label]):
            count = labels.num_classes(extents, label, config)
            features[label] = Feature((), features[label].dtype, num_classes=count)
        shards = {split: identify(one.shards, self._stage) for split, one in found.items()}
        return splits.choose(config, config.name, features, shards)

    def _folder(self, split: str) -> Path:
        config, label = self._config, elements.label_name(self._config)
        named = [_VERSION, config.name, next(iter(self.code), ""), config.args, split]
        named += [config.elements, label, config.roles, roles.ignored(label, config)]
        text = json.dumps(named, sort_keys=True, default=str)
        return self._stage.kept_path / hashlib.sha256(text.encode()).hexdigest()[:32]

    def _unlike(self, notes: Mapping[str, Any]) -> str:
        before = notes["code"]
        if not self.code:
            return "the function is in no file, whose changes would be seen"
        both = {**before, **self.code}
        if other := [path for path in both if before.get(path) != self.code.get(path)]:
            return f"{other[0]} has changed"
        path = inputs.changed(notes["inputs"])
        return f"{path} has changed" if path else ""


class _Counted:
    """Counts the classes of a split while its blocks pass."""

    def __init__(self, split: str, label: str, config: DatasetConfig) -> None:
        self._split, self._label, self._config = split, label, config
        self.extent = Extent(0, 0, 0, 0)

    def count(self, block: Block) -> Block:
        """Return the block."""
        if self._label:
            values = labels.counted(block[self._label], self._label, self._config)
            self.extent = self.extent.with_next(values)
            if self.extent.low < 0:  # refused now, not at the end of everything
                labels.num_classes({self._split: self.extent}, self._label, self._config)
        return block


def _pipeline(value: Any, config: DatasetConfig, where: str) -> Pipeline:
    for kind in (tf_dataset, generated):
        if kind.is_one(value):
            return kind.Pipeline(value, config, where)
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"{where} is a {type(value).__name__}, and another split a pipeline; give all splits as "
        "tf.data.Dataset or generator function",
    )


def _plain(array: Any) -> Feature:
    return Feature(array.shape[1:], array.dtype.name)


def _outside(paths: Iterable[str], folder: Path) -> Iterator[str]:
    """Leave out the files and folders that this writes itself."""
    ours = folder.absolute()
    return (path for path in paths if not Path(path).absolute().is_relative_to(ours))
