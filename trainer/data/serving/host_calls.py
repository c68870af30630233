"""Python functions inside a pipeline; what they raise is kept: TensorFlow hands on the text."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


class HostCalls:
    """Calls functions of NumPy arrays in the threads of a pipeline.

    Attributes:
        error: the first that a function raised, with its type and stack; None: none did.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    def call(self, function: Callable[..., Any], inputs: Sequence[tf.Tensor], dtypes: Any) -> Any:
        """Return, in the graph of a pipeline, what `function` makes of the inputs."""

        def kept(*arrays: Any) -> Any:
            try:
                return function(*arrays)
            except Exception as error:
                self.error = self.error or error
                raise

        return tf.numpy_function(kept, inputs, dtypes, stateful=False)
