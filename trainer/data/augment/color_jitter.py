"""Change brightness, contrast and saturation by random factors."""

import tensorflow as tf

from trainer.data.augment import Batch
from trainer.data.augment.hashing import uniform

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


def color_jitter(
    batch: Batch,
    keys: tf.Tensor,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    feature: str = "image",
) -> Batch:
    """Scale each image [k, b, H, W, C] by factors drawn from 1 - x to 1 + x, clipped to [0, 1].

    Brightness scales towards black, contrast towards the mean grey of the image, saturation (of
    three channels) towards the grey of the pixel.
    """
    images = batch[feature] * _factor(keys, 0, brightness)
    images = _towards(
        tf.reduce_mean(_grey(images), [2, 3, 4], keepdims=True), images, keys, 1, contrast
    )
    if images.shape[-1] == 3:
        images = _towards(_grey(images), images, keys, 2, saturation)
    return {**batch, feature: tf.clip_by_value(images, 0.0, 1.0)}


def _towards(
    centre: tf.Tensor, images: tf.Tensor, keys: tf.Tensor, index: int, strength: float
) -> tf.Tensor:
    return centre + (images - centre) * _factor(keys, index, strength)


def _factor(keys: tf.Tensor, index: int, strength: float) -> tf.Tensor:
    drawn = 1 + strength * (2 * uniform(keys, index) - 1)
    return drawn[..., tf.newaxis, tf.newaxis, tf.newaxis]


def _grey(images: tf.Tensor) -> tf.Tensor:
    if images.shape[-1] != 3:
        return images
    return tf.reduce_sum(images * tf.constant(_GREY), -1, keepdims=True)
