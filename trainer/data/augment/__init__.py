"""Changes to training examples, on the device, after they are served and before the task sees them.

    (batch, keys, **args) -> batch

Pure functions of a batch and of one key an example. `batch` holds feature -> [k, b, ...]: k
microbatches of b examples; images are float32 in [0, 1]. `keys` is uint64[k, b], a function of the
seed and the example's position in the run: whatever serves the example, and wherever, it is changed
in the same way. Draw with `hashing.uniform(keys, index)`.

What moves pixels and leaves their values is `geometric`: masks go along with their image.
"""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

Change = TypeVar("Change", bound=Callable[..., "Batch"])

Batch = dict[str, tf.Tensor]


def geometric(change: Change) -> Change:
    """Mark an augmentation that moves the pixels of its `feature` and leaves their values.

    It draws once for all features of an example that it is listed for, and is called for the masks
    of an image too, which hold whole numbers; what comes in from outside of a mask is 0 there, or
    the class that the loss ignores.
    """
    change.geometric = True  # type: ignore[attr-defined]
    return change
