"""Measures how long a dataset's reader waits, inside TensorFlow: no lock of Python's is needed."""

import itertools

import tensorflow as tf

_TAG = "wait"
_numbers = itertools.count()


class WaitClock:
    """Adds up what every reader of the watched datasets waited.

    `tf.timestamp` in the step would say the same, and is refused where operations have to be
    deterministic.
    """

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            # Without a name of its own every clock of the process would be the same one.
            self._sums = tf.raw_ops.StatsAggregatorHandle(shared_name=f"{_TAG}_{next(_numbers)}")

    def watch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return the dataset, measured where it is read."""
        spec = dataset.element_spec
        kinds = {
            "output_types": [part.dtype for part in tf.nest.flatten(spec)],
            "output_shapes": [part.shape for part in tf.nest.flatten(spec)],
        }
        variant = tf.data.experimental.to_variant(dataset)
        variant = tf.raw_ops.LatencyStatsDataset(input_dataset=variant, tag=_TAG, **kinds)
        variant = tf.raw_ops.SetStatsAggregatorDataset(
            input_dataset=variant, stats_aggregator=self._sums, tag="", counter_prefix="", **kinds
        )
        return tf.data.experimental.from_variant(variant, spec)

    def seconds(self) -> float:
        """Return what was waited so far."""
        summary = tf.raw_ops.StatsAggregatorSummary(iterator=self._sums).numpy()
        values = tf.compat.v1.Summary.FromString(summary).value
        return float(sum(value.histo.sum for value in values if value.tag == _TAG)) / 1e6
