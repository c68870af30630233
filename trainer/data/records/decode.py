"""Decodes serialized examples by their features."""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature

Example = dict[str, tf.Tensor]
# Large enough that starting a task costs little, small enough that a few dozen fit into memory.
_IMAGES_A_TASK = 32
_STORED = {"float64": tf.float32, "float32": tf.float32, "string": tf.string}


# Nothing to convert here, and the files that a conversion writes would outlive a kill.
@tf.autograph.experimental.do_not_convert
def decode_blocks(
    blocks: tf.data.Dataset, features: Mapping[str, Feature], block_size: int
) -> tf.data.Dataset:
    """Decode a dataset of serialized examples, string[block_size], in parallel and in order.

    Returns:
        a dataset of feature -> [block_size, ...].
    """
    parse = make_parser(features)
    size = block_size
    if any(feature.encoding == "image" for feature in features.values()):
        size = max(n for n in range(1, _IMAGES_A_TASK + 1) if block_size % n == 0)
    if size == block_size:
        return blocks.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    parts = blocks.map(lambda block: tf.reshape(block, [-1, size])).unbatch()
    decoded = parts.map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(block_size // size)

    def join(example: Example) -> Example:
        return {n: tf.reshape(x, [block_size, *x.shape[2:]]) for n, x in example.items()}

    return decoded.map(join)


def make_parser(features: Mapping[str, Feature]) -> Callable[[tf.Tensor], Example]:
    """Return the function from serialized `tf.train.Example`s string[n] to tensors [n, ...]."""
    specs = {name: _spec(feature) for name, feature in features.items()}

    def parse(serialized: tf.Tensor) -> Example:
        raw = tf.io.parse_example(serialized, specs)
        return {name: _decode(raw[name], feature) for name, feature in features.items()}

    return parse


def check(records: Mapping[str, bytes], features: Mapping[str, Feature]) -> None:
    """Raise for the first record that cannot be decoded as its features say.

    Args:
        records: place, for the message -> record.
        features: of an example.

    Raises:
        RunError: BAD_DATA naming the place and the key.
    """
    if _failure(list(records.values()), features) is None:
        return
    for where, record in records.items():
        for name, feature in features.items():
            if (error := _failure([record], {name: feature})) is not None:
                raise RunError(
                    ExitCode.BAD_DATA,
                    f"{where}: key {name!r} is not {describe(feature)}: "
                    f"{_reason(error)}; correct the file, or the feature spec in "
                    "config.dataset.args",
                ) from error


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
    stored = _STORED.get(feature.dtype, tf.int64)
    if not feature.padded:
        return tf.io.FixedLenFeature(feature.shape, stored)
    default = str(feature.pad_value) if stored == tf.string else feature.pad_value
    return tf.io.FixedLenSequenceFeature(
        feature.shape[1:], stored, allow_missing=True, default_value=default
    )


def _decode(value: tf.Tensor, feature: Feature) -> tf.Tensor:
    if feature.encoding == "image":
        return _decode_images(value, feature)
    if feature.encoding == "raw":
        flat = tf.io.decode_raw(value, feature.dtype)
        return tf.reshape(flat, [-1, *feature.shape])
    if feature.padded:
        value = _pad(value, feature)
    if feature.num_classes is not None:
        # A look-up that fails for a label out of range; an assertion would not run in parallel.
        return tf.cast(
            tf.gather(tf.range(feature.num_classes, dtype=tf.int64), value), feature.dtype
        )
    return value if feature.dtype == "string" else tf.cast(value, feature.dtype)


def _decode_images(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    def decode(value: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(value, channels=feature.shape[-1], expand_animations=False)
        if feature.resized:
            image = tf.image.resize(image, feature.shape[:2], antialias=True)
            image = tf.clip_by_value(tf.round(image), 0, 255)
        return tf.ensure_shape(tf.cast(image, feature.dtype), feature.shape)

    # An operation for each image: they run in parallel, and a loop costs more than a small image.
    return tf.stack([decode(value) for value in tf.unstack(values)])


def _pad(value: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Fill up [n, longest, ...] to the shape of the feature; a longer one is an error."""
    missing = feature.shape[0] - tf.shape(value)[1]
    paddings = [[0, 0], [0, missing], *[[0, 0] for _ in feature.shape[1:]]]
    fill = tf.constant(str(feature.pad_value) if value.dtype == tf.string else feature.pad_value)
    return tf.reshape(
        tf.pad(value, paddings, constant_values=tf.cast(fill, value.dtype)), [-1, *feature.shape]
    )


def _failure(records: Sequence[bytes], features: Mapping[str, Feature]) -> Exception | None:
    """Return what TensorFlow says when it decodes these records; None: nothing is wrong."""
    try:
        make_parser(features)(tf.constant(records))
    except (tf.errors.OpError, ValueError) as error:
        return error
    return None


def _reason(error: Exception) -> str:
    """Return what TensorFlow found, without where in our code and in which operation it did."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = next((line for line in lines if "}} " in line), lines[0])
    return told.rpartition("}} ")[2].partition(" [Op:")[0]
