"""One worker of several that add up their rows: `python -m tests.engine.summing K SIZE...`.

Worker w holds rows w * K to w * K + K of `rows`, as it holds microbatches of a step. Prints JSON:
the bytes of each sum.
"""

import json
import sys

import numpy as np
import tensorflow as tf

from trainer.engine.reduction import sum_over_microbatches


def rows(size):
    """Return float32[12, size], of which another order of addition has another sum."""
    return np.random.default_rng(size).normal(size=(12, size)).astype(np.float32)


def main(num_rows, sizes):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    sums = []
    for size in sizes:

        def add_up(size=size):
            first = tf.distribute.get_replica_context().replica_id_in_sync_group * num_rows
            mine = tf.constant(rows(size))[first : first + num_rows]
            return sum_over_microbatches([tf.ensure_shape(mine, [num_rows, size])], "exact")[0]

        total = tf.function(lambda add_up=add_up: strategy.run(add_up), autograph=False)()
        sums.append(strategy.experimental_local_results(total)[0].numpy().tobytes().hex())
    print(json.dumps(sums))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(size) for size in sys.argv[2:]])
