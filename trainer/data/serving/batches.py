"""The batches of a run: which examples each step serves, and which of them are read here."""

import dataclasses

import tensorflow as tf

from trainer.data.records.read_plan import Served
from trainer.data.serving.order import Order


@dataclasses.dataclass(frozen=True)
class Batches:
    """Every global batch, and the part of it that the replicas of this process work on.

    Attributes:
        order: of the examples.
        size: B.
        microbatch_size: b.
        local: places in a batch of the examples that this process works on; n of them.
    """

    order: Order
    size: int
    microbatch_size: int
    local: range

    def serve(self, steps: tf.Tensor) -> Served:
        """Return what stands at the local places of some steps, int64[..., n]."""
        positions = self._positions(steps)
        served = self.order.serve(tf.reshape(positions, [-1]))
        return Served(*(tf.reshape(values, tf.shape(positions)) for values in served))

    def weights(self, step: tf.Tensor) -> tf.Tensor:
        """Return float32[n], 0 for padding."""
        return self.order.weights(self._positions(step))

    def places(self, first_microbatch: tf.Tensor, num_microbatches: int) -> tuple[tf.Tensor, int]:
        """Return the first place in a batch of some microbatches, and how many places they take."""
        return first_microbatch * self.microbatch_size, num_microbatches * self.microbatch_size

    def _positions(self, steps: tf.Tensor) -> tf.Tensor:
        places = tf.range(self.local.start, self.local.stop, dtype=tf.int64)
        return steps[..., tf.newaxis] * self.size + places


def local_places(strategy: tf.distribute.Strategy, batch_size: int) -> range:
    """Return the places in a batch of B examples that the replicas of this worker work on."""
    size = batch_size // strategy.num_replicas_in_sync * num_local_replicas(strategy)
    resolver = strategy.cluster_resolver
    index = resolver.task_id if resolver is not None and size < batch_size else 0
    return range(index * size, (index + 1) * size)


def num_local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Return the replicas of this process."""
    if strategy.num_replicas_in_sync == 1:
        return 1  # the default strategy has no list of devices
    return len(strategy.extended.worker_devices)
