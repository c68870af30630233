"""The feature spec in `config.dataset.args` of sources that do not tell what they hold.

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
from trainer.data.info import Feature
from trainer.data.sources import roles

FIELD = "config.dataset.args.features"
_DTYPES = (
    *("float32", "float64", "int64", "int32", "uint8", "bool", "string", "float16"),
    *("uint16", "int16", "int8", "uint32", "uint64"),
)
_AN_IMAGE = "dtype uint8 or uint16 and shape [height, width, channels] for an image"
_LABEL_DTYPES = ("int64", "int32", "uint8")
_ENCODINGS = ("", "image", "raw")


def read_spec(args: Mapping[str, Any]) -> dict[str, Feature]:
    """Return the features that the config describes.

    Raises:
        RunError: BAD_CONFIG naming the feature, the field and what is allowed.
    """
    spec = args.get("features")
    if not isinstance(spec, Mapping) or not spec:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{FIELD} is missing: TFRecords need a feature spec such as "
            '{"image": {"dtype": "uint8", "shape": [28, 28, 1], "encoding": "image"}, '
            '"label": {"num_classes": 10}}',
        )
    features = {name: parse(name, fields) for name, fields in spec.items()}
    for name, feature in features.items():
        if feature.classes:
            raise bad(f"{name}.classes", feature.classes, "num_classes, as records hold numbers")
    return features


def chosen(args: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Return the fields that are given of each chosen feature; None: all features, none given.

    For sources that tell what they hold: a list of names, or of each name the fields that are not
    known or are to be others.

    Raises:
        RunError: BAD_CONFIG naming the feature and the field.
    """
    asked = args.get("features")
    if asked is None:
        return None
    if isinstance(asked, list | tuple) and asked and all(isinstance(n, str) for n in asked):
        return {name: {} for name in asked}
    if not isinstance(asked, Mapping) or not asked:
        raise RunError(ExitCode.BAD_CONFIG, f"{FIELD}={asked!r} is not a list of names")
    return {name: _given(name, fields) for name, fields in asked.items()}


def _given(name: str, fields: Any) -> dict[str, Any]:
    """Return fields that were checked; for those of an encoding or a padding none may lack."""
    if not isinstance(fields, Mapping):
        raise bad(name, fields, "a mapping of its fields")
    is_image = fields.get("encoding") == "image"
    whole = {"dtype": "uint8", "shape": [1, 1, 3], **fields} if is_image else fields
    feature = dataclasses.asdict(parse(name, whole))
    is_whole = fields.get("padded") or fields.get("encoding") == "raw"
    return feature if is_whole else {n: feature[n] for n in fields}


def parse(name: str, fields: Any) -> Feature:
    """Return the feature that a mapping of its fields describes.

    Raises:
        RunError: BAD_CONFIG naming the field and what is allowed.
    """
    # Which class is ignored is said to the loss.
    allowed = [f.name for f in dataclasses.fields(Feature) if f.name != "ignore"]
    if not isinstance(fields, Mapping) or set(fields) - set(allowed):
        raise bad(name, fields, f"the fields {', '.join(allowed)}")
    feature = Feature(**{"dtype": "int64", "shape": (), **fields})
    shape = feature.shape
    if not isinstance(shape, list | tuple) or not all(type(d) is int and d > 0 for d in shape):
        raise bad(f"{name}.shape", shape, "a list of whole numbers above 0")
    if feature.dtype not in _DTYPES:
        raise bad(f"{name}.dtype", feature.dtype, "one of " + ", ".join(_DTYPES))
    if feature.encoding not in _ENCODINGS:
        raise bad(f"{name}.encoding", feature.encoding, "image, raw or empty")
    if feature.encoding == "image" and not feature.is_pixels:
        raise bad(name, fields, _AN_IMAGE)
    if feature.encoding == "raw" and feature.dtype == "string":
        raise bad(f"{name}.dtype", "string", "numbers of a fixed size for raw bytes")
    if feature.sequence and (not shape or feature.encoding == "image"):
        raise bad(f"{name}.sequence", True, "false for scalars and images")
    if feature.padded and (not shape or (feature.encoding and not feature.sequence)):
        raise bad(f"{name}.padded", True, "false for scalars and encoded features")
    if feature.padded and not _fits(feature.pad_value, feature.dtype):
        raise bad(f"{name}.pad_value", feature.pad_value, f"a value of {feature.dtype}")
    if feature.role not in ("", *roles.ROLES):
        raise bad(f"{name}.role", feature.role, "one of " + ", ".join(roles.ROLES))
    names = feature.classes
    if not isinstance(names, list | tuple) or len(set(map(str, names))) != len(names):
        raise bad(f"{name}.classes", names, "a list of different names")
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
        raise bad(f"{name}.num_classes", label.num_classes, "a whole number above 0")
    if label.dtype not in _LABEL_DTYPES or label.encoding:
        given = {"dtype": label.dtype, "encoding": label.encoding}
        allowed = "a label without encoding, its dtype int64, int32 or uint8"
        raise bad(name, given, allowed)


def bad(name: str, value: Any, allowed: str) -> RunError:
    """Return the error for a field of a feature."""
    return RunError(ExitCode.BAD_CONFIG, f"{FIELD}.{name}={json.dumps(value)}; allowed: {allowed}")
