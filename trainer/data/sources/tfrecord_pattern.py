"""TFRecord files by pattern, with a feature spec in `config.dataset.args`.

name = "gs://bucket/{split}-*.tfrecord"
args = {"features": {
    "image":  {"dtype": "uint8", "shape": [28, 28, 1], "encoding": "image"},
    "label":  {"num_classes": 10},
    "tokens": {"dtype": "int64", "shape": [128], "padded": true, "pad_value": 0}}}
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.data.info import Feature, Shard
from trainer.data.records.files import Stage, file_bytes, open_shards
from trainer.data.records.indexes import find_index, read_index

_FIELD = "config.dataset.args.features"
_DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool", "string", "float16")
_LABEL_DTYPES = ("int64", "int32", "uint8")
_ENCODINGS = ("", "image", "raw")


def list_splits(pattern: str, names: list[str]) -> dict[str, list[str]]:
    """Return split -> URLs of its files; without `{split}` in the pattern all is `train`.

    Raises:
        RunError: BAD_CONFIG where a pattern matches nothing.
    """
    if "{split}" not in pattern:
        return {"train": _list(pattern)}
    return {name: _list(pattern.replace("{split}", name)) for name in names}


def count_records(
    urls: list[str], stage: Stage, *, skip_bad: bool
) -> tuple[tuple[Shard, ...], tuple[str, ...]]:
    """Count the records of each file; returns the shards, and a line for each damaged stretch.

    Raises:
        RunError: BAD_DATA naming the file and the byte, unless `skip_bad`.
    """
    counted: dict[str, _Counted] = {}
    for url in urls:
        if index := find_index(url, stage.index_path, skip_bad=skip_bad):
            counted[url] = _Counted(len(index.offsets), index.damaged)
    new = [url for url in urls if url not in counted]
    with open_shards(new, range(len(new)), stage) as open_shard:
        for visit, url in enumerate(new):
            with open_shard(visit) as path:
                index = read_index(path, url, stage.index_path, skip_bad=skip_bad)
            counted[url] = _Counted(len(index.offsets), index.damaged)
    shards = tuple(Shard(url, counted[url].records, file_bytes(url)) for url in urls)
    return shards, tuple(line for url in urls for line in counted[url].damaged)


class _Counted(NamedTuple):
    """What is remembered of an index: of many shards, all of them would be large."""

    records: int
    damaged: tuple[str, ...]


def read_spec(args: Mapping[str, Any]) -> dict[str, Feature]:
    """Return the features that the config describes.

    Raises:
        RunError: BAD_CONFIG naming the feature, the field and what is allowed.
    """
    spec = args.get("features")
    if not isinstance(spec, Mapping) or not spec:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{_FIELD} is missing: TFRecords need a feature spec such as "
            '{"image": {"dtype": "uint8", "shape": [28, 28, 1], "encoding": "image"}, '
            '"label": {"num_classes": 10}}',
        )
    return {name: _feature(name, fields) for name, fields in spec.items()}


def _list(pattern: str) -> list[str]:
    urls = [file.url for file in storage.list_files(pattern)]
    if not urls:
        raise RunError(
            ExitCode.BAD_CONFIG, f"config.dataset.name={pattern!r} matches no file; correct it"
        )
    return urls


def _feature(name: str, fields: Any) -> Feature:
    allowed = [f.name for f in dataclasses.fields(Feature)]
    if not isinstance(fields, Mapping) or set(fields) - set(allowed):
        raise _bad(name, fields, f"the fields {', '.join(allowed)}")
    feature = Feature(**{"dtype": "int64", "shape": (), **fields})
    shape = feature.shape
    if not isinstance(shape, list | tuple) or not all(type(d) is int and d > 0 for d in shape):
        raise _bad(f"{name}.shape", shape, "a list of whole numbers above 0")
    if feature.dtype not in _DTYPES:
        raise _bad(f"{name}.dtype", feature.dtype, "one of " + ", ".join(_DTYPES))
    if feature.encoding not in _ENCODINGS:
        raise _bad(f"{name}.encoding", feature.encoding, "image, raw or empty")
    if feature.encoding == "image" and (feature.dtype, len(shape)) != ("uint8", 3):
        raise _bad(name, fields, "dtype uint8 and shape [height, width, channels] for an image")
    if feature.encoding == "raw" and feature.dtype == "string":
        raise _bad(f"{name}.dtype", "string", "numbers of a fixed size for raw bytes")
    if feature.padded and (not shape or feature.encoding):
        raise _bad(f"{name}.padded", True, "false for scalars and encoded features")
    if feature.num_classes is not None:
        _check_label(name, feature)
    return dataclasses.replace(feature, shape=tuple(shape))


def _check_label(name: str, label: Feature) -> None:
    if type(label.num_classes) is not int or label.num_classes < 1:
        raise _bad(f"{name}.num_classes", label.num_classes, "a whole number above 0")
    if label.dtype not in _LABEL_DTYPES or label.encoding:
        given = {"dtype": label.dtype, "encoding": label.encoding}
        allowed = "a label without encoding, its dtype int64, int32 or uint8"
        raise _bad(name, given, allowed)


def _bad(name: str, value: Any, allowed: str) -> RunError:
    return RunError(ExitCode.BAD_CONFIG, f"{_FIELD}.{name}={json.dumps(value)}; allowed: {allowed}")
