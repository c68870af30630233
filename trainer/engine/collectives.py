"""Messages between the replicas of several workers; the one place that starts collectives itself.

`tf.distribute` offers an all-reduce and an all-gather, and the gather first asks all replicas for
their shapes. The operations below are those under it, and the exchange of slices that it lacks.
Group, order and keys are those of the strategy, so that they take turns with its own messages:
without its ordering token two replicas may start two collectives in different order, and wait for
each other for ever. Private names of the pinned TensorFlow; tested against it.
"""

from typing import Any

import tensorflow as tf


def has_slices() -> bool:
    """Whether the replicas here can exchange slices: those of several workers can.

    Replicas of one process are in one memory, and a TPU's are in one program.
    """
    strategy = tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def all_to_all(slices: tf.Tensor) -> tf.Tensor:
    """Send slice r to replica r; return what the replicas sent to this one, in their order.

    Args:
        slices: [R, ...], of the same shape on every replica.

    Returns:
        [R, ...].
    """
    launcher = _launcher()
    with tf.device(launcher._device):
        return tf.raw_ops.CollectiveAllToAllV2(
            input=slices,
            group_size=launcher._group_size,
            group_key=launcher._group_key,
            instance_key=launcher._next_instance_key(),
            ordering_token=[launcher._get_ordering_token()],
            communication_hint=launcher._options.implementation.value,
        )


def all_gather(rows: tf.Tensor) -> tf.Tensor:
    """Return the rows of all replicas in their order: [m, ...] -> [R * m, ...]."""
    if not has_slices():
        return tf.distribute.get_replica_context().all_gather(rows, axis=0)
    launcher = _launcher()
    gathered = launcher._all_gather(rows, None)
    return tf.ensure_shape(gathered, [launcher._group_size * rows.shape[0], *rows.shape[1:]])


def _launcher() -> Any:
    context = tf.distribute.get_replica_context()
    extended = context.strategy.extended
    local = extended._get_local_replica_id(context._replica_id_in_sync_group)
    return extended._cross_device_ops._launchers[local]
