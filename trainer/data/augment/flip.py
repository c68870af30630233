"""Mirror half of the images from left to right."""

import tensorflow as tf

from trainer.data.augment import Batch, geometric
from trainer.data.augment.hashing import uniform


@geometric
def flip(batch: Batch, keys: tf.Tensor, *, feature: str = "image") -> Batch:
    """Mirror each image [k, b, H, W, C] with probability 1/2."""
    images = batch[feature]
    mirrored = uniform(keys, 0)[..., tf.newaxis, tf.newaxis, tf.newaxis] < 0.5
    return {**batch, feature: tf.where(mirrored, tf.reverse(images, [-2]), images)}
