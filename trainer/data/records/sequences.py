"""The `feature_lists` of `tf.train.SequenceExample`s: a list of steps for each example."""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from trainer.data.info import Feature
from trainer.data.records import images

Decode = Callable[[tf.Tensor, Feature], tf.Tensor]
"""Of the values [n, ...] of a feature that is no list."""


def parse(
    serialized: tf.Tensor, features: Mapping[str, Feature], specs: Mapping[str, tf.DType]
) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Return the stored values [n, steps, ...] and the number of steps [n] of each list.

    Args:
        serialized: string[n].
        features: that are lists.
        specs: what is stored of each, as for a feature that is no list.
    """
    if not features:
        return {}
    wanted = {
        name: tf.io.FixedLenSequenceFeature(
            [] if feature.encoding else feature.shape[1:], specs[name], allow_missing=feature.padded
        )
        for name, feature in features.items()
    }
    _, lists, lengths = tf.io.parse_sequence_example(serialized, sequence_features=wanted)
    return {name: (lists[name], lengths[name]) for name in features}


def decode(
    values: tf.Tensor, lengths: tf.Tensor, feature: Feature, decode_steps: Decode
) -> tf.Tensor:
    """Return [n, *shape]; a list that is too long, or too short and not padded, fails.

    Args:
        values: [n, longest, ...] as they are stored.
        lengths: int64[n], steps of each list.
        feature: a list; the first of its shape is the number of steps.
        decode_steps: decodes the steps of all lists, laid end to end.
    """
    if not feature.padded:
        values = images.require(values, lengths == feature.shape[0])
    is_step = tf.sequence_mask(lengths, tf.shape(values)[1])
    step = dataclasses.replace(feature, shape=feature.shape[1:], padded=False, sequence=False)
    steps = decode_steps(tf.boolean_mask(values, is_step), step)
    fill = str(feature.pad_value) if feature.dtype == "string" else feature.pad_value
    shape = tf.stack([tf.shape(values)[0], *feature.shape])
    whole = tf.fill(shape, tf.cast(fill, feature.dtype))
    # Where a list has more steps than the feature this look-up fails.
    filled = tf.tensor_scatter_nd_update(whole, tf.where(is_step), steps)
    return tf.ensure_shape(filled, [values.shape[0], *feature.shape])
