"""Prepared TFDS datasets, the digits that ship with the trainer among them.

The two JSON files of a prepared dataset say all that is needed. Importing the TFDS package costs a
second at every start, and its loader may ask a remote bucket first, so neither is done here.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Shard
from trainer.data.records.files import Stage, read_text
from trainer.data.records.indexes import count_records, identify
from trainer.data.records.reader import RecordReader
from trainer.data.sources import splits

Metadata = dict[str, Any]
EMBEDDED = pathlib.Path(__file__).parents[1] / "embedded"

_INFO = "dataset_info.json"
_FIELD = "config.dataset.args.features"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`."""
    name = str(EMBEDDED / "digits") if config.name == "digits" else config.name[len("tfds:") :]
    folder = find_directory(name, config.data_dir)
    shards, skipped = read_splits(folder), list[str]()
    for split in [name for name in splits.names(config) if name in shards]:
        if config.skip_bad_records:  # else the metadata are trusted until the records are read
            shards[split], damaged = count_records(shards[split], stage, skip_bad=True)
            skipped += damaged
        else:
            shards[split] = identify(shards[split], stage)
    size = config.args.get("image_size")
    features = {
        n: _sized(n, f, size) for n, f in read_features(folder, config.args.get("features")).items()
    }
    return splits.choose(config, folder, features, shards, skipped=skipped)


open = RecordReader


def find_directory(name: str, data_dir: str) -> str:
    """Return the folder of a prepared dataset: `DIRECTORY`, or the newest `data_dir/NAME/VERSION`.

    Raises:
        RunError: BAD_CONFIG where nothing prepared is there, with what to do.
    """
    root = _home(data_dir or "~/tensorflow_datasets")
    places = [_home(name)]
    if not storage.is_remote(name):
        places.append(f"{root}/{name}")
    for folder in places:
        if found := _prepared(folder):
            return found
    advice = (
        "copy the whole folder of a prepared dataset there"
        if storage.is_remote(places[-1])
        else f"prepare it once: python -m trainer.data prepare --name={name} --data_dir={root}"
    )
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"config.dataset.name='tfds:{name}': nothing prepared at {places[-1]}; {advice}",
    )


def read_splits(folder: str) -> splits.Shards:
    """Return the shards of every split, with the number of examples each must hold."""
    with _metadata(f"{folder}/{_INFO}") as info:
        if info.get("fileFormat", "tfrecord") != "tfrecord":
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{folder}: file format {info['fileFormat']!r} is not read; allowed: tfrecord",
            )
        return {s["name"]: _shards(folder, info["name"], s) for s in info["splits"]}


def read_features(folder: str, only: Any = None) -> dict[str, Feature]:
    """Return the features of an example.

    Args:
        folder: of the prepared dataset.
        only: names of those that are read; None: all of them.

    Raises:
        RunError: BAD_CONFIG naming a feature that is not there, or of a kind that is not read.
    """
    with _metadata(f"{folder}/features.json") as tree:
        if "featuresDict" not in tree:
            kind = tree["pythonClassName"].rpartition(".")[2]
            raise RunError(
                ExitCode.BAD_CONFIG, f"{folder}: an example is a {kind}; allowed: FeaturesDict"
            )
        features = tree["featuresDict"]["features"]
        for name in _chosen(only, features):
            if name not in features:
                raise RunError(
                    ExitCode.BAD_CONFIG, spelling.unknown(f"{_FIELD}: feature", name, features)
                )
        return {n: _feature(n, features[n], folder) for n in _chosen(only, features)}


def _chosen(only: Any, features: Mapping[str, Any]) -> list[str]:
    if only is None:
        return list(features)
    if not isinstance(only, list | tuple) or not all(isinstance(n, str) for n in only) or not only:
        raise RunError(ExitCode.BAD_CONFIG, f"{_FIELD}={only!r} is not a list of names")
    return list(only)


def _shards(folder: str, name: str, split: Metadata) -> tuple[Shard, ...]:
    counts = [int(n) for n in split["shardLengths"]]
    template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    names = [
        template.replace("{DATASET}", name)
        .replace("{SPLIT}", split["name"])
        .replace("{FILEFORMAT}", "tfrecord")
        .replace("{SHARD_X_OF_Y}", f"{i:05d}-of-{len(counts):05d}")
        for i in range(len(counts))
    ]
    return tuple(Shard(f"{folder}/{n}", c) for n, c in zip(names, counts, strict=True))


def _feature(name: str, spec: Metadata, folder: str) -> Feature:
    kind = str(spec.get("pythonClassName", "")).rpartition(".")[2]
    if kind == "Image":
        return _image(name, spec["image"], folder)
    if kind == "ClassLabel":
        return Feature((), "int64", num_classes=int(spec["classLabel"]["numClasses"]))
    if kind in ("Tensor", "Scalar") and spec["tensor"].get("encoding", "none") == "none":
        return Feature(_shape(spec["tensor"]), spec["tensor"]["dtype"])
    if kind == "Text":
        return Feature((), "string")
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"{folder}: feature {name!r} is a {kind}; allowed: Image, ClassLabel, Tensor, Scalar, "
        f'Text; where it is not needed, list those that are: --{_FIELD}=\'["image", "label"]\'',
    )


def _image(name: str, image: Metadata, folder: str) -> Feature:
    dtype = image.get("dtype", "uint8")
    if dtype != "uint8":  # decoding gives bytes, which are not the numbers that were stored
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{folder}: feature {name!r} is an Image of {dtype}; allowed: uint8",
        )
    return Feature(_shape(image), dtype, encoding="image")


def _shape(spec: Mapping[str, Any]) -> tuple[int | None, ...]:
    dimensions = [int(d) for d in spec.get("shape", {}).get("dimensions", [])]
    return tuple(d if d > 0 else None for d in dimensions)


def _sized(name: str, feature: Feature, size: Any) -> Feature:
    """Give images of any size the one size that a batch needs."""
    if None not in feature.shape:
        return feature
    if not feature.is_image:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"feature {name!r} has the shape {list(feature.shape)}: only images may differ in "
            "size; read the files by pattern with a padded feature spec",
        )
    if not (isinstance(size, list | tuple) and len(size) == 2):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"feature {name!r} has images of any size, and config.dataset.args.image_size={size}; "
            "give [height, width]",
        )
    return dataclasses.replace(feature, shape=(*size, feature.shape[-1]), resized=True)


def _home(folder: str) -> str:
    """Return a folder with the ~ that the shell leaves inside of a flag."""
    if folder.partition("/")[0] != "~":
        return folder.rstrip("/")
    return str(pathlib.Path(folder).expanduser())


def _prepared(folder: str) -> str | None:
    """Return `folder`, or its newest version, where a prepared dataset is there."""
    if storage.is_remote(folder):
        files = storage.list_files(f"{folder}/**")
        places = [f.url.rpartition("/")[0] for f in files if f.url.endswith(f"/{_INFO}")]
        # Deeper down there are other datasets.
        found = [p for p in places if p == folder or p.rpartition("/")[0] == folder]
    else:
        path = pathlib.Path(folder)
        found = [str(p.parent) for p in (*path.glob(_INFO), *path.glob(f"*/{_INFO}"))]
    return max(found, key=_version, default=None)


@contextlib.contextmanager
def _metadata(url: str) -> Iterator[Metadata]:
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
