"""Changes to training examples, on the device, after they are served and before the task sees them.

    (batch, keys, **args) -> batch

Pure functions of a batch and of one key an example. `batch` holds feature -> [k, b, ...]: k
microbatches of b examples; images are float32 in [0, 1]. `keys` is uint64[k, b], a function of the
seed and the example's position in the run: whatever serves the example, and wherever, it is changed
in the same way. Draw with `hashing.uniform(keys, index)`.
"""

import tensorflow as tf

Batch = dict[str, tf.Tensor]
