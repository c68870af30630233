"""What the exchange between replicas costs alone, measured apart from the steps."""

import time

import tensorflow as tf

from trainer.engine.reduction import Reduction, sum_over_microbatches
from trainer.task import Task

_TIMES = 20


def exchange_secs(
    strategy: tf.distribute.Strategy, task: Task, num_microbatches: int, reduction: Reduction
) -> float:
    """Return the seconds in which the replicas add up the gradients of all models once.

    Every worker has to call it. One replica exchanges nothing: 0.

    Args:
        strategy: of the run.
        task: whose models are trained.
        num_microbatches: of one replica.
        reduction: of the run.
    """
    if strategy.num_replicas_in_sync == 1:
        return 0.0
    shapes = [v.shape for m in task.models.values() for v in m.trainable_variables]

    def on_replica() -> tf.Tensor:
        rows = [tf.ones([num_microbatches, *shape]) for shape in shapes]
        return tf.add_n([tf.reduce_max(x) for x in sum_over_microbatches(rows, reduction)])

    @tf.function(autograph=False)
    def run(times: tf.Tensor) -> tf.Tensor:
        def body(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            mine = strategy.experimental_local_results(strategy.run(on_replica))[0]
            return index + 1, total + mine

        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda i, _: i < times, body, start, parallel_iterations=1)[1]

    run(tf.constant(1)).numpy()
    began = time.perf_counter()
    run(tf.constant(_TIMES)).numpy()
    return (time.perf_counter() - began) / _TIMES
