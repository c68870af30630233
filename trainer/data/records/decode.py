"""Decodes serialized examples by their features."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature
from trainer.data.records import images, sequences

Example = dict[str, tf.Tensor]
# Large enough that starting a task costs little, small enough that a few dozen fit into memory.
_IMAGES_A_TASK = 32
_STORED = {
    **dict.fromkeys(("float64", "float32", "float16", "bfloat16"), tf.float32),
    "string": tf.string,
}
_READ_AS = {"uint32": "int32", "uint64": "int64"}  # the operation has none of these


def decode_blocks(
    blocks: tf.data.Dataset, features: Mapping[str, Feature], block_size: int
) -> tf.data.Dataset:
    """Decode a dataset of serialized examples, string[block_size], in parallel and in order.

    Returns:
        a dataset of feature -> [block_size, ...].
    """
    return _in_parallel(blocks, make_parser(features), features, block_size)


def decode_columns(
    blocks: tf.data.Dataset, features: Mapping[str, Feature], block_size: int
) -> tf.data.Dataset:
    """Decode a dataset of one tensor [block_size, ...] a feature: images are still files in it."""

    def decode(*columns: tf.Tensor) -> Example:
        pairs = zip(columns, features.items(), strict=True)
        return {
            name: images.decode(column, feature) if feature.encoding == "image" else column
            for column, (name, feature) in pairs
        }

    return _in_parallel(blocks, decode, features, block_size)


# Nothing to convert here, and the files that a conversion writes would outlive a kill.
@tf.autograph.experimental.do_not_convert
def _in_parallel(
    blocks: tf.data.Dataset,
    decode: Callable[..., Example],
    features: Mapping[str, Feature],
    block_size: int,
) -> tf.data.Dataset:
    size = block_size
    if any(feature.encoding == "image" for feature in features.values()):
        size = max(n for n in range(1, _IMAGES_A_TASK + 1) if block_size % n == 0)
    if size == block_size:
        return blocks.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    def cut(*columns: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(tf.reshape(x, [-1, size, *x.shape[1:]]) for x in columns)

    parts = blocks.map(cut).unbatch()
    decoded = parts.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(block_size // size)

    def join(example: Example) -> Example:
        return {n: tf.reshape(x, [block_size, *x.shape[2:]]) for n, x in example.items()}

    return decoded.map(join)


def make_parser(features: Mapping[str, Feature]) -> Callable[[tf.Tensor], Example]:
    """Return the function from serialized `tf.train.Example`s string[n] to tensors [n, ...]."""
    lists = {name: feature for name, feature in features.items() if feature.sequence}
    specs = {name: _spec(feature) for name, feature in features.items() if name not in lists}
    stored = {name: _stored(feature) for name, feature in lists.items()}

    def parse(serialized: tf.Tensor) -> Example:
        # The context of a SequenceExample lies where the features of an Example do.
        raw = tf.io.parse_example(serialized, specs) if specs else {}
        found = {name: _decode(value, features[name]) for name, value in raw.items()}
        for name, (values, lengths) in sequences.parse(serialized, lists, stored).items():
            found[name] = sequences.decode(values, lengths, features[name], _decode)
        return {name: found[name] for name in features}

    return parse


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


def optional(features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Return those whose key a record may lack: a misspelt one would be all padding."""
    return {name: feature for name, feature in features.items() if feature.padded}


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


def _spec(feature: Feature) -> tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature:
    if feature.encoding:
        return tf.io.FixedLenFeature([], tf.string)
    stored = _stored(feature)
    if not feature.padded:
        return tf.io.FixedLenFeature(feature.shape, stored)
    default = str(feature.pad_value) if stored == tf.string else feature.pad_value
    return tf.io.FixedLenSequenceFeature(
        feature.shape[1:], stored, allow_missing=True, default_value=default
    )


def _stored(feature: Feature) -> tf.DType:
    return tf.string if feature.encoding else _STORED.get(feature.dtype, tf.int64)


def _decode(value: tf.Tensor, feature: Feature) -> tf.Tensor:
    if feature.encoding == "image":
        return images.decode(value, feature)
    if feature.encoding == "raw":
        # Not -1: bytes of several values would be cut into as many examples.
        flat = tf.io.decode_raw(value, _READ_AS.get(feature.dtype, feature.dtype))
        whole = tf.reshape(flat, [tf.shape(value)[0], *feature.shape])
        return tf.bitcast(whole, feature.dtype) if feature.dtype in _READ_AS else whole
    if feature.padded:
        value = _pad(value, feature)
    if feature.num_classes is not None:
        # A look-up that fails for a label out of range; an assertion would not run in parallel.
        classes = tf.range(feature.num_classes, dtype=tf.int64)
        is_class = True if feature.ignore is None else value != feature.ignore
        value = tf.where(is_class, tf.gather(classes, tf.where(is_class, value, 0)), value)
    return value if feature.dtype == "string" else _cast(value, feature.dtype)


def _cast(value: tf.Tensor, dtype: str) -> tf.Tensor:
    """Cast what a record stores to the dtype of the feature; a value that it cannot hold fails."""
    cast = tf.cast(value, dtype)
    if value.dtype.is_floating:  # rounding is what a narrow dtype means, infinity is not
        kept = tf.math.is_finite(tf.cast(cast, value.dtype)) | ~tf.math.is_finite(value)
        return cast if cast.dtype.size >= value.dtype.size else images.require(cast, kept)
    if cast.dtype.is_floating or cast.dtype == value.dtype:
        return cast
    kept = tf.cast(cast, value.dtype) == value
    return images.require(cast, kept & (value >= 0) if cast.dtype.is_unsigned else kept)


def _pad(value: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Fill up [n, longest, ...] to the shape of the feature; a longer one is an error."""
    missing = feature.shape[0] - tf.shape(value)[1]
    paddings = [[0, 0], [0, missing], *[[0, 0] for _ in feature.shape[1:]]]
    fill = tf.constant(str(feature.pad_value) if value.dtype == tf.string else feature.pad_value)
    padded = tf.pad(value, paddings, constant_values=tf.cast(fill, value.dtype))
    return tf.reshape(padded, [tf.shape(value)[0], *feature.shape])


def _failure(records: Sequence[bytes], features: Mapping[str, Feature]) -> Exception | None:
    """Return what TensorFlow says when it decodes these records; None: nothing is wrong."""
    try:
        make_parser(features)(tf.constant(records))
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
    integers = not feature.encoding and isinstance(values[0], int) and feature.dtype != "string"
    if integers and _STORED.get(feature.dtype, tf.int64) == tf.int64:
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
