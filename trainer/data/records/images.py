"""Decodes PNG, JPEG, BMP and GIF files: the one decoder of training, evaluation and `predict`."""

import io

import numpy as np
import tensorflow as tf

from trainer.data.info import Feature

_PNG, _DEPTH_BYTE, _COLOUR_BYTE, _DEEP = b"\x89PNG", 24, 25, b"\x10"
_GREY, _PALETTE = 0, 3


def decode(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Return the images [n, *shape] of files, string[n].

    A file that is not what the feature says fails: InvalidArgumentError.
    """
    is_deep = feature.dtype == "uint16"
    values = require(values, _is_deep(values) == is_deep)

    def decode_one(value: tf.Tensor) -> tf.Tensor:
        if feature.role == "mask":
            value = tf.numpy_function(_plain_mask, [value], tf.string, stateful=False)
            value = tf.ensure_shape(value, [])
        if is_deep:
            image = tf.io.decode_png(value, channels=feature.shape[-1], dtype=tf.uint16)
        else:
            image = tf.io.decode_image(value, channels=feature.shape[-1], expand_animations=False)
        if feature.resized:
            image = _resize(image, feature)
        return tf.ensure_shape(tf.cast(image, feature.dtype), feature.shape)

    # An operation for each image: they run in parallel, and a loop costs more than a small image.
    return tf.stack([decode_one(value) for value in tf.unstack(values)])


def require(value: tf.Tensor, holds: tf.Tensor) -> tf.Tensor:
    """Return `value` [n, ...]; a look-up that fails where anything of `holds` is false.

    An assertion would not run in parallel, and a reshape is optimized away.
    """
    wrong = tf.cast(~tf.reduce_all(holds), tf.int32)
    rows = tf.range(tf.shape(value)[0]) + wrong * tf.shape(value)[0]
    return tf.ensure_shape(tf.gather(value, rows), value.shape)


def explain(value: bytes, feature: Feature) -> str:
    """Return why a file cannot be decoded as the feature says; "" where only TensorFlow knows."""
    is_png = value.startswith(_PNG)
    is_deep = is_png and value[_DEPTH_BYTE : _DEPTH_BYTE + 1] == _DEEP
    if is_deep and feature.dtype == "uint8":
        return 'it is a PNG of 16 bits a channel, which needs "dtype": "uint16"'
    if feature.dtype == "uint16" and not is_deep:
        bits = value[_DEPTH_BYTE] if is_png and len(value) > _DEPTH_BYTE else 0
        return (
            f"it is a PNG of {bits} bits a channel, not 16" if bits else "it is no PNG of 16 bits"
        )
    if feature.role == "mask" and not _holds_classes(value):
        return "a mask is a PNG of one channel or with a palette: colours are no classes"
    return ""


def _is_deep(values: tf.Tensor) -> tf.Tensor:
    """Return bool[n]: which are PNG files of 16 bits a channel; the decoder would halve them."""
    is_png = tf.strings.substr(values, 0, len(_PNG)) == _PNG
    return is_png & (tf.strings.substr(values, _DEPTH_BYTE, 1) == _DEEP)


def _holds_classes(value: bytes) -> bool:
    is_png = value.startswith(_PNG) and len(value) > _COLOUR_BYTE
    return is_png and value[_COLOUR_BYTE] in (_GREY, _PALETTE)


def _plain_mask(value: "bytes | np.ndarray") -> bytes:
    """Return a mask as a PNG whose decoded bytes are its classes.

    Decoded as an image, a palette gives its colours, and less than 8 bits are stretched to 0..255.
    """
    value = bytes(np.asarray(value, object).item())  # outside of a graph it comes as an array
    if not _holds_classes(value):
        raise ValueError("no mask")
    if value[_COLOUR_BYTE] == _GREY and value[_DEPTH_BYTE] >= 8:
        return value
    from PIL import Image

    with Image.open(io.BytesIO(value), formats=["PNG"]) as image:
        classes = np.asarray(image).astype(np.uint8)
        if value[_COLOUR_BYTE] == _GREY and image.mode == "L":  # stretched by the reader
            classes //= 255 // (2 ** value[_DEPTH_BYTE] - 1)
    plain = io.BytesIO()
    Image.fromarray(classes).save(plain, "PNG", compress_level=1)
    return plain.getvalue()


def _resize(image: tf.Tensor, feature: Feature) -> tf.Tensor:
    if feature.role == "mask":  # between two classes there is none
        return tf.image.resize(image, feature.shape[:2], "nearest")
    most = image.dtype.max
    image = tf.image.resize(image, feature.shape[:2], antialias=True)
    return tf.clip_by_value(tf.round(image), 0, most)
