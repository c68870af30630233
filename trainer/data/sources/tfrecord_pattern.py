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
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Shard
from trainer.data.records.files import Stage
from trainer.data.records.indexes import count_records
from trainer.data.records.reader import RecordReader
from trainer.data.sources import roles, splits

_FIELD = "config.dataset.args.features"
_DTYPES = (
    *("float32", "float64", "int64", "int32", "uint8", "bool", "string", "float16"),
    *("uint16", "int16", "int8"),
)
_IMAGE_DTYPES = ("uint8", "uint16")
_AN_IMAGE = "dtype uint8 or uint16 and shape [height, width, channels] for an image"
_LABEL_DTYPES = ("int64", "int32", "uint8")
_ENCODINGS = ("", "image", "raw")


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`. Without `{split}` in the pattern all is `train`."""
    features = read_spec(config.args)
    names = splits.names(config) if "{split}" in config.name else ["train"]
    found = {name: _list(config.name.replace("{split}", name)) for name in names}
    shards, skipped = splits.Shards(), list[str]()
    for name, files in found.items():
        shards[name], damaged = count_records(files, stage, skip_bad=config.skip_bad_records)
        skipped += damaged
    return splits.choose(config, config.name, features, shards, skipped=skipped)


open = RecordReader


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


def _list(pattern: str) -> list[Shard]:
    shards = [Shard(file.url, 0) for file in storage.list_files(pattern)]
    if not shards:
        raise RunError(
            ExitCode.BAD_CONFIG, f"config.dataset.name={pattern!r} matches no file; correct it"
        )
    return shards


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
    if feature.encoding == "image" and (feature.dtype not in _IMAGE_DTYPES or len(shape) != 3):
        raise _bad(name, fields, _AN_IMAGE)
    if feature.encoding == "raw" and feature.dtype == "string":
        raise _bad(f"{name}.dtype", "string", "numbers of a fixed size for raw bytes")
    if feature.padded and (not shape or feature.encoding):
        raise _bad(f"{name}.padded", True, "false for scalars and encoded features")
    if feature.padded and not _fits(feature.pad_value, feature.dtype):
        raise _bad(f"{name}.pad_value", feature.pad_value, f"a value of {feature.dtype}")
    if feature.role not in ("", *roles.ROLES):
        raise _bad(f"{name}.role", feature.role, "one of " + ", ".join(roles.ROLES))
    if feature.num_classes is not None:
        _check_label(name, feature)
    return dataclasses.replace(feature, shape=tuple(shape))


def _fits(value: Any, dtype: str) -> bool:
    """Whether a dtype holds the value as it is written."""
    if dtype == "string":
        return True
    if not isinstance(value, int | float):
        return False
    if dtype.startswith("float"):
        return bool(np.isfinite(np.dtype(dtype).type(value))) or not np.isfinite(value)
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return value == int(value) and low <= value <= high


def _check_label(name: str, label: Feature) -> None:
    if type(label.num_classes) is not int or label.num_classes < 1:
        raise _bad(f"{name}.num_classes", label.num_classes, "a whole number above 0")
    if label.dtype not in _LABEL_DTYPES or label.encoding:
        given = {"dtype": label.dtype, "encoding": label.encoding}
        allowed = "a label without encoding, its dtype int64, int32 or uint8"
        raise _bad(name, given, allowed)


def _bad(name: str, value: Any, allowed: str) -> RunError:
    return RunError(ExitCode.BAD_CONFIG, f"{_FIELD}.{name}={json.dumps(value)}; allowed: {allowed}")
