"""Shift images by a few pixels: pad with black, crop at random."""

import tensorflow as tf

from trainer.data.augment import Batch, geometric
from trainer.data.augment.hashing import uniform


@geometric
def pad_and_crop(
    batch: Batch, keys: tf.Tensor, *, pixels: int = 4, feature: str = "image"
) -> Batch:
    """Move each image [k, b, H, W, C] by -pixels..pixels along both axes; what comes in is 0."""
    images = batch[feature]
    height, width = images.shape[2:4]
    padded = tf.pad(images, [[0, 0], [0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
    rows = tf.cast(uniform(keys, 0) * (2 * pixels + 1), tf.int32)[..., tf.newaxis]
    columns = tf.cast(uniform(keys, 1) * (2 * pixels + 1), tf.int32)[..., tf.newaxis]
    cropped = tf.gather(padded, rows + tf.range(height), axis=2, batch_dims=2)
    return {**batch, feature: tf.gather(cropped, columns + tf.range(width), axis=3, batch_dims=2)}
