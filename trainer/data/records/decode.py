"""Decodes serialized examples by their features."""

from collections.abc import Callable, Mapping

import tensorflow as tf

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
    stored = {name: stored_dtype(feature) for name, feature in lists.items()}

    def parse(serialized: tf.Tensor) -> Example:
        # The context of a SequenceExample lies where the features of an Example do.
        raw = tf.io.parse_example(serialized, specs) if specs else {}
        found = {name: _decode(value, features[name]) for name, value in raw.items()}
        for name, (values, lengths) in sequences.parse(serialized, lists, stored).items():
            found[name] = sequences.decode(values, lengths, features[name], _decode)
        return {name: found[name] for name in features}

    return parse


def _spec(feature: Feature) -> tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature:
    if feature.encoding:
        return tf.io.FixedLenFeature([], tf.string)
    stored = stored_dtype(feature)
    if not feature.padded:
        return tf.io.FixedLenFeature(feature.shape, stored)
    default = str(feature.pad_value) if stored == tf.string else feature.pad_value
    return tf.io.FixedLenSequenceFeature(
        feature.shape[1:], stored, allow_missing=True, default_value=default
    )


def stored_dtype(feature: Feature) -> tf.DType:
    """Return the dtype in which a record holds the feature."""
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
