"""Folders of images: `images:data/{split}`, where every class is a folder, sorted by name.

    data/train/cat/1.jpg  data/train/dog/7.png  ...

Where the label is not among the chosen features, images lie anywhere below the folder.

Pairs of images and masks lie in folders of their own, under names that are the same but for the
extension: `args={"pairs": {"image": "photos", "mask": "masks"}}`.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Shard
from trainer.data.records import columns, copies
from trainer.data.records.column_reader import ColumnReader, OpenColumns, check_same
from trainer.data.records.files import Stage
from trainer.data.records.indexes import content_of, keep
from trainer.data.records.read_plan import ReadPlan
from trainer.data.sources import facts, feature_spec, image_kinds, splits, tables
from trainer.data.sources.folder_files import Row, all_of, by_class, in_pairs
from trainer.data.sources.source import refuse_other_args
from trainer.storage.failures import local_read

_SUM = " sum"
"""After the name of a feature: the column of size and CRC-32C of its files."""
_AT_ONCE = 256


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`: every image is read once, for its size and checksum."""
    _check(config)
    shards, noted, classes = splits.Shards(), {}, set[str]()
    for split, folder in _folders(config).items():
        rows, held = _rows(folder, config)
        classes |= set(held)
        shard, copy = _copy(folder, rows, config, stage)
        noted[folder] = columns.read_facts(copy)
        shards[split] = (shard,)
    if classes:
        noted[next(iter(noted))]["labels"]["label"] = sorted(classes)  # empty ones are counted too
    return splits.choose(config, config.name, facts.features_of(noted, config), shards)


def open(plan: ReadPlan) -> "FolderReader":
    """See `source.Source`."""
    return FolderReader(plan, tables.asked(plan.info.config))


class FolderReader(ColumnReader):
    """See `source.Examples`: each image is read from its file."""

    def _open_copy(self, url: str, folder: Path, visit: int) -> OpenColumns:
        del visit
        return _OpenFolder(url, folder, self._plan.features)


class _OpenFolder(OpenColumns):
    def __init__(self, url: str, folder: Path, features: Mapping[str, Feature]) -> None:
        super().__init__(url, folder, features)
        images = [name for name, feature in features.items() if feature.encoding == "image"]
        self._sums = columns.Columns(folder, [name + _SUM for name in images])

    def read_files(self, name: str, numbers: np.ndarray) -> list[bytes]:
        sums = self._sums.read(name + _SUM, numbers).tolist()
        names = self.columns.read(name, numbers)
        return [
            check_same(_read(path := f"{self.url}/{os.fsdecode(n)}"), size, crc, path)
            for n, (size, crc) in zip(names, sums, strict=True)
        ]

    def where(self, number: int) -> str:
        name = next(n for n, f in self._features.items() if f.encoding == "image")
        return f"{self.url}/{os.fsdecode(self.columns.read(name, np.array([number]))[0])}"


def _rows(folder: str, config: DatasetConfig) -> tuple[list[Row], list[str]]:
    """Return the examples of a folder, and the names of its classes."""
    if pairs := config.args.get("pairs"):
        return in_pairs(folder, pairs)
    chosen = feature_spec.chosen(config.args)
    if chosen and "label" not in chosen:  # any folder will do, and the folders in it are no classes
        return all_of(folder, *chosen), []
    return by_class(folder)


def _read(path: str) -> bytes:
    with local_read(path):
        return Path(path).read_bytes()


def _check(config: DatasetConfig) -> None:
    refuse_other_args(config, ("pairs", "features", "image_size"))
    pairs = config.args.get("pairs")
    if pairs is not None and not (
        isinstance(pairs, Mapping) and pairs and all(isinstance(f, str) for f in pairs.values())
    ):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.args.pairs={pairs!r} is no mapping of feature to folder",
        )
    if config.shuffle_window:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.shuffle_window={config.shuffle_window}: a folder is sorted by class, "
            "so that a window would hold few of them, and every image is read by itself anyhow; "
            "write shuffle_window=0",
        )


def _folders(config: DatasetConfig) -> dict[str, str]:
    """Return the folder of each split."""
    pattern = str(Path(config.name.removeprefix("images:")).expanduser())
    if storage.is_remote(config.name.removeprefix("images:")):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.name={config.name!r}: a folder of images is read from a local disk; "
            "pack it as tars (WebDataset) or TFRecords for a bucket",
        )
    used = splits.names(config) if "{split}" in pattern else ["train"]
    found = {split: pattern.replace("{split}", split) for split in used}
    for folder in found.values():
        if not Path(folder).is_dir():
            raise RunError(ExitCode.BAD_CONFIG, f"config.dataset.name: {folder} is no folder")
    return found


def _copy(
    folder: str, rows: Sequence[Row], config: DatasetConfig, stage: Stage
) -> tuple[Shard, Path]:
    """Return the folder as a shard of known content, and its columns; both are kept."""
    asked, whole = tables.asked(config), str(Path(folder).absolute())
    stamps = _stamps(whole, rows)
    key = hashlib.sha256(f"{whole}\n{asked}".encode()).hexdigest()[:32]
    place = stage.index_path / f"folder-{key}"
    if shard := _kept(place, stamps):
        copy = copies.folder_of(shard, asked, stage)
        if copy.exists():
            return shard, copy
    gathered, total = facts.Facts(config), _Sum()
    batches = list(_columns(whole, rows, gathered, total))
    shard = Shard(whole, len(rows), total.num_bytes, total.crc32c)
    copy = copies.folder_of(shard, asked, stage)
    if not copy.exists():
        columns.write(copy, batches, gathered.found)
    if stamps and stamps == _stamps(whole, rows):
        kept = {"stamps": stamps, "shard": dataclasses.astuple(shard)}
        keep(place, json.dumps(kept).encode())
    return shard, copy


def _kept(place: Path, stamps: str) -> Shard | None:
    try:
        kept = json.loads(place.read_text())
    except (OSError, ValueError):
        return None
    return Shard(*kept["shard"]) if stamps and kept.get("stamps") == stamps else None


def _stamps(folder: str, rows: Sequence[Row]) -> str:
    """Return what tells the files from others without reading them; "": nothing that is certain."""
    digest = hashlib.sha256()
    for name in (name for row in rows for name in row.files.values()):
        content = content_of(f"{folder}/{name}")
        if not content:
            return ""
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()


@dataclasses.dataclass
class _Sum:
    """Of all files, their names included, in the order of examples."""

    num_bytes: int = 0
    crc32c: int = 0

    def add(self, name: str, data: bytes) -> tuple[int, int]:
        crc32c = google_crc32c.value(data)
        self.num_bytes += len(data)
        line = f"{name}\n{len(data)} {crc32c}\n".encode(errors="surrogateescape")
        self.crc32c = google_crc32c.extend(self.crc32c, line)
        return len(data), crc32c


def _columns(
    folder: str, rows: Sequence[Row], gathered: facts.Facts, total: _Sum
) -> Iterator[columns.Batch]:
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        batch: dict[str, np.ndarray] = {}
        for feature in part[0].files:
            names = [row.files[feature] for row in part]
            sums = []
            for name in names:
                data = _read(f"{folder}/{name}")
                gathered.note_images(feature, image_kinds.read_kind(data, f"{folder}/{name}"))
                sums.append(total.add(name, data))
            batch[feature] = _objects(names)
            batch[feature + _SUM] = np.array(sums, np.int64)
        pointed = list(batch)
        if part[0].label:
            batch["label"] = _objects([row.label for row in part])
        yield gathered.note(batch, {}, _place, pointed)


def _place(name: str, row: int) -> str:
    return f"example {row}: {name}"  # of a label of text, in which nothing is wrong


def _objects(texts: Sequence[str]) -> np.ndarray:
    return columns.objects([os.fsencode(text) for text in texts])
