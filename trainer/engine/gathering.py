"""What the replicas hold, side by side on every worker."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def from_replicas(
    strategy: tf.distribute.Strategy, on_replica: Callable[..., tf.Tensor]
) -> Callable[..., np.ndarray]:
    """Return a function that gives what `on_replica` returns on each of R replicas: [R, ...].

    Every worker has to call it.
    """

    def on_each(*args: tf.Tensor) -> tf.Tensor:
        mine = on_replica(*args)[tf.newaxis]
        if strategy.num_replicas_in_sync == 1:
            return mine
        return tf.distribute.get_replica_context().all_gather(mine, axis=0)

    @tf.function(autograph=False)
    def gather(*args: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(on_each, args=args))[0]

    return lambda *args: gather(*args).numpy()
