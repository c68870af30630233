"""Cut out a part of random size and shape and enlarge it."""

import math
from collections.abc import Sequence

import tensorflow as tf

from trainer.data.augment import Batch, geometric
from trainer.data.augment.hashing import uniform


@geometric
def random_resized_crop(
    batch: Batch,
    keys: tf.Tensor,
    *,
    area: Sequence[float] = (0.08, 1.0),
    aspect: Sequence[float] = (3 / 4, 4 / 3),
    feature: str = "image",
) -> Batch:
    """Replace each image [k, b, H, W, C] by a part of it, resized to [H, W] bilinearly.

    Args:
        batch: feature -> [k, b, ...].
        keys: uint64[k, b].
        area: smallest and largest part of the image's area.
        aspect: smallest and largest width / height of the part, drawn log-uniformly; a part that
            would be larger than the image is cut to it.
        feature: to change.

    Source: Szegedy et al., Going deeper with convolutions, 2015, section 6.
    """
    images = batch[feature]
    size = images.shape[2:4]
    part = area[0] + (area[1] - area[0]) * uniform(keys, 0)
    low, high = (math.log(a) for a in aspect)
    ratio = tf.sqrt(tf.exp(low + (high - low) * uniform(keys, 1)) * size[0] / size[1])
    root = tf.sqrt(part)
    for axis, share in enumerate((root / ratio, root * ratio)):
        length = tf.minimum(share, 1.0) * size[axis]
        start = uniform(keys, 2 + axis) * (size[axis] - length)
        images = _resample(images, start, length, axis + 2)
    return {**batch, feature: images}


def _resample(images: tf.Tensor, start: tf.Tensor, length: tf.Tensor, axis: int) -> tf.Tensor:
    """Stretch `start` to `start + length` [k, b] of an axis over all of it, pixel centres kept."""
    size = images.shape[axis]
    centres = (tf.range(size, dtype=tf.float32) + 0.5) / size
    at = start[..., tf.newaxis] + length[..., tf.newaxis] * centres - 0.5
    at = tf.clip_by_value(at, 0.0, size - 1.0)
    if images.dtype.is_integer:  # a mask: between two classes there is none
        return tf.gather(images, tf.cast(tf.round(at), tf.int32), axis=axis, batch_dims=2)
    before = tf.cast(at, tf.int32)
    after = tf.minimum(before + 1, size - 1)
    share = at - tf.cast(before, tf.float32)
    share = (
        share[:, :, :, tf.newaxis, tf.newaxis]
        if axis == 2
        else share[:, :, tf.newaxis, :, tf.newaxis]
    )
    first, second = (tf.gather(images, i, axis=axis, batch_dims=2) for i in (before, after))
    return first + (second - first) * share
