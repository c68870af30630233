"""Which record cannot be decoded, and why: asked only after decoding has failed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature
from trainer.data.records import decode, images


def check(records: Mapping[str, bytes], features: Mapping[str, Feature]) -> None:
    """Raise for the first record that cannot be decoded as its features say.

    Args:
        records: place, for the message -> record.
        features: of an example.

    Raises:
        RunError: BAD_DATA naming the place and the key.
    """
    for where, record in _first_bad(list(records.items()), features):
        for name, feature in features.items():
            if (error := _failure([record], {name: feature})) is not None:
                reason = _explain(record, name, feature) or _reason(error)
                raise RunError(
                    ExitCode.BAD_DATA,
                    f"{where}: key {name!r} is not {describe(feature)}: "
                    f"{reason}; correct the file, or the feature spec in "
                    "config.dataset.args",
                ) from error


def check_columns(
    places: Sequence[str], columns: Sequence[np.ndarray], features: Mapping[str, Feature]
) -> None:
    """Raise for the first image of columns that cannot be decoded; see `check`."""
    for values, (name, feature) in zip(columns, features.items(), strict=True):
        for where, value in zip(places, values, strict=True):
            if feature.encoding != "image":
                break
            try:
                images.decode(tf.constant([value]), feature)
            except (tf.errors.OpError, ValueError) as error:
                reason = images.explain(value, feature) or _reason(error)
                raise RunError(
                    ExitCode.BAD_DATA, f"{where}: {name!r} is not {describe(feature)}: {reason}"
                ) from error


def unheld(records: Iterable[bytes], features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Return those features of which none of the records holds a value."""
    missing = dict(features)
    for record in records:
        if not missing:
            break
        example = _example(record)
        missing = {n: f for n, f in missing.items() if not _is_held(example, n, f)}
    return missing


def _is_held(example: tf.train.SequenceExample, name: str, feature: Feature) -> bool:
    values, lists = example.context.feature, example.feature_lists.feature_list
    if feature.sequence:
        return name in lists and len(lists[name].feature) > 0
    return name in values and len(_values(values[name])) > 0


def keys_in_words(record: bytes, key: str) -> str:
    """Return the keys that a record has, and the one that `key` may have been meant to be."""
    try:
        example = _example(record)
        lists = example.feature_lists.feature_list
        held = sorted({*example.context.feature, *lists})
    except Exception:  # the error class belongs to a library of TensorFlow's
        return "the record is no tf.train.Example"
    if key in lists:
        return (
            f"the record is a tf.train.SequenceExample and {key!r} one of its feature_lists; write "
            f'"sequence": true, and as shape its steps and what a step holds'
        )
    keys = f"the record has the keys {', '.join(held) or '(none)'}"
    return f"{spelling.did_you_mean(key, held)} {keys}".strip()


def describe(feature: Feature) -> str:
    """Return a feature in words: `a label in 0..9`, `uint8[8, 8, 1] (image)`."""
    if feature.num_classes is not None:
        return f"a label in 0..{feature.num_classes - 1}"
    encoding = f" ({feature.encoding})" if feature.encoding else ""
    at_most = "at most " if feature.padded else ""
    return f"{at_most}{feature.dtype}{list(feature.shape)}{encoding}"


def _failure(records: Sequence[bytes], features: Mapping[str, Feature]) -> Exception | None:
    """Return what TensorFlow says when it decodes these records; None: nothing is wrong."""
    try:
        decode.make_parser(features)(tf.constant(records))
    except (tf.errors.OpError, ValueError) as error:
        return error
    return None


def _first_bad(
    records: list[tuple[str, bytes]], features: Mapping[str, Feature]
) -> list[tuple[str, bytes]]:
    """Return the first pair whose record cannot be decoded, found by halves; none: all can be."""
    if _failure([record for _, record in records], features) is None:
        return []
    while len(records) > 1:
        half = records[: len(records) // 2]
        is_bad = _failure([record for _, record in half], features) is not None
        records = half if is_bad else records[len(half) :]
    return records


def _explain(record: bytes, name: str, feature: Feature) -> str:
    """Return what is wrong with a value that cannot be decoded; "" where only TensorFlow knows."""
    try:
        example = _example(record)
    except Exception:  # see `keys_in_words`
        return ""
    if feature.sequence:
        return _explain_list(example.feature_lists.feature_list, name, feature)
    values = _values(example.context.feature[name])
    if not values:
        return keys_in_words(record, name)
    if feature.encoding and isinstance(values[0], bytes):
        return _explain_bytes(values[0], feature)
    integers = isinstance(values[0], int) and feature.dtype != "string"
    if integers and decode.stored_dtype(feature) == tf.int64:
        dtype = tf.as_dtype(feature.dtype)
        low, high = (0, 1) if dtype == tf.bool else (dtype.min, dtype.max)
        wrong = [v for v in values if isinstance(v, int) and not low <= v <= high]
        return f"{wrong[0]} is none of {dtype.name}" if wrong else ""
    return ""


def _explain_bytes(value: bytes, feature: Feature) -> str:
    if feature.encoding == "image":
        return images.explain(value, feature)
    size = feature.num_bytes
    return f"it holds {len(value)} bytes, not {size}" if len(value) != size else ""


def _explain_list(lists: Any, name: str, feature: Feature) -> str:
    if name not in lists:
        return f"its feature_lists are {', '.join(sorted(lists)) or '(none)'}"
    count, steps = len(lists[name].feature), feature.shape[0] or 0
    wrong = count > steps or (count < steps and not feature.padded)
    return f"the list holds {count} steps" if wrong else ""


def _example(record: bytes) -> tf.train.SequenceExample:
    """Parse a record; a `tf.train.Example` is one without lists."""
    return tf.train.SequenceExample.FromString(record)


def _values(feature: tf.train.Feature) -> Sequence[bytes | float | int]:
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else ()


def _reason(error: Exception) -> str:
    """Return what TensorFlow found, without where in our code and in which operation it did."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = next((line for line in lines if "}} " in line), lines[0])
    return told.rpartition("}} ")[2].partition(" [Op:")[0]
