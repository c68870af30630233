"""Prepared TFDS datasets, the digits that ship with the trainer among them.

The two JSON files of a prepared dataset say all that is needed. Importing the TFDS package costs a
second at every start, and its loader may ask a remote bucket first, so neither is done here.
"""

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Shard
from trainer.data.records.array_record import ArrayRecordReader
from trainer.data.records.files import Stage, read_text
from trainer.data.records.indexes import count_records, identify
from trainer.data.records.read_plan import ReadPlan
from trainer.data.records.reader import RecordReader
from trainer.data.sources import array_record, splits, tfds_features

Metadata = dict[str, Any]
EMBEDDED = pathlib.Path(__file__).parents[1] / "embedded"

_INFO = "dataset_info.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PINNED = re.compile(r"(?P<name>.+):(?P<version>(\d+|\*)\.(\d+|\*)\.(\d+|\*))")
_FORMATS = ("tfrecord", "array_record")


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`."""
    name = str(EMBEDDED / "digits") if config.name == "digits" else config.name[len("tfds:") :]
    folder = find_directory(name, config.data_dir)
    shards, skipped = read_splits(folder), list[str]()
    for split in [name for name in splits.names(config) if name in shards]:
        if _is_array_record(shards[split]):
            shards[split] = array_record.identify(shards[split], stage, config)
        elif config.skip_bad_records:  # else the metadata are trusted until the records are read
            shards[split], damaged = count_records(shards[split], stage, skip_bad=True)
            skipped += damaged
        else:
            shards[split] = identify(shards[split], stage)
    with metadata(f"{folder}/features.json") as tree:
        features = tfds_features.read(tree, folder, config.args)
    return splits.choose(config, folder, features, shards, skipped=skipped)


def open(plan: ReadPlan) -> RecordReader:
    """See `source.Source`."""
    kind = ArrayRecordReader if _is_array_record(plan.split.shards) else RecordReader
    return kind(plan)


def _is_array_record(shards: tuple[Shard, ...]) -> bool:
    return any(".array_record" in shard.name for shard in shards)


def find_directory(name: str, data_dir: str) -> str:
    """Return the folder of a prepared dataset: `DIRECTORY`, or the newest `data_dir/NAME/VERSION`.

    Raises:
        RunError: BAD_CONFIG where nothing prepared is there, with what is there or what to do.
    """
    root = _home(data_dir or "~/tensorflow_datasets")
    pinned = _PINNED.fullmatch(name)
    plain, version = (pinned["name"], pinned["version"]) if pinned else (name, "*.*.*")
    places = [_home(plain)]
    if not storage.is_remote(plain):
        places.append(f"{root}/{plain}")
    for folder in places:
        if found := _prepared(folder, version):
            return found
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"config.dataset.name='tfds:{name}': nothing prepared at {places[-1]}"
        f"{f' of version {version}' if pinned else ''}; {_advice(name, plain, places[-1], root)}",
    )


def _advice(name: str, plain: str, folder: str, root: str) -> str:
    below = [path[len(folder) + 1 :] for path in _info_folders(folder)]
    versions = [path for path in below if _VERSION.fullmatch(path)]
    if versions:
        return f"its versions there are {', '.join(sorted(versions))}"
    configs = sorted({path.rpartition("/")[0] for path in below} - {""})
    if configs:
        names = ", ".join(f"tfds:{plain}/{config}" for config in configs)
        return f"it has configs; write one of {names}"
    if storage.is_remote(folder):
        return "copy the whole folder of a prepared dataset there"
    return f"prepare it once: python -m trainer.data prepare --name={name} --data_dir={root}"


def read_splits(folder: str) -> splits.Shards:
    """Return the shards of every split, with the number of examples each must hold."""
    with metadata(f"{folder}/{_INFO}") as info:
        file_format = info.get("fileFormat", "tfrecord")
        if file_format not in _FORMATS:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{folder}: file format {file_format!r} is not read; allowed: {_FORMATS}",
            )
        return {s["name"]: _shards(folder, info["name"], s, file_format) for s in info["splits"]}


def _shards(folder: str, name: str, split: Metadata, file_format: str) -> tuple[Shard, ...]:
    counts = [int(n) for n in split["shardLengths"]]
    template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    names = [
        template.replace("{DATASET}", name)
        .replace("{SPLIT}", split["name"])
        .replace("{FILEFORMAT}", file_format)
        .replace("{SHARD_X_OF_Y}", f"{i:05d}-of-{len(counts):05d}")
        for i in range(len(counts))
    ]
    return tuple(Shard(f"{folder}/{n}", c) for n, c in zip(names, counts, strict=True))


def _home(folder: str) -> str:
    """Return a folder with the ~ that the shell leaves inside of a flag."""
    if folder.partition("/")[0] != "~":
        return folder.rstrip("/")
    return str(pathlib.Path(folder).expanduser())


def _prepared(folder: str, version: str) -> str | None:
    """Return `folder`, or its newest version, where a prepared dataset is there."""
    wanted = re.compile(re.escape(version).replace(r"\*", r"\d+"))
    # Deeper down there are other datasets.
    found = [
        path
        for path in _info_folders(folder)
        if (path == folder and version == "*.*.*")
        or (path.rpartition("/")[0] == folder and _fits(path.rpartition("/")[2], wanted, version))
    ]
    return max(found, key=_version, default=None)


def _fits(name: str, wanted: re.Pattern[str], version: str) -> bool:
    return bool(wanted.fullmatch(name)) or version == "*.*.*"


def _info_folders(folder: str) -> list[str]:
    """Return the folders of prepared datasets: this one, its versions, and those of its configs."""
    if storage.is_remote(folder):
        files = storage.list_files(f"{folder}/**")
        return [f.url.rpartition("/")[0] for f in files if f.url.endswith(f"/{_INFO}")]
    path = pathlib.Path(folder)
    return [str(p.parent) for deep in ("", "*/", "*/*/") for p in path.glob(f"{deep}{_INFO}")]


@contextlib.contextmanager
def metadata(url: str) -> Iterator[Metadata]:
    """Give what a JSON file holds; what is not there, or of another form, is damage."""
    try:
        yield dict(json.loads(read_text(url)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{url}: not the metadata of a prepared dataset: {type(error).__name__}: {error}; "
            "prepare it anew",
        ) from error


def _version(folder: str) -> tuple[int, ...]:
    name = folder.rpartition("/")[2]
    return tuple(int(n) for n in name.split(".")) if _VERSION.fullmatch(name) else (0,)
