"""Examples of a source inside a `tf.data` pipeline, or all of them at once."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from common.exit_codes import RunError
from trainer.data import sources
from trainer.data.info import DatasetInfo, Split
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.records.shard_reader import empty
from trainer.data.serving.order import Order, SequentialOrder
from trainer.data.sources.source import Examples

_BLOCK = 1024
# Read at once: enough that neighbours in a file are met, and little memory.
_READ_EXAMPLES, _READ_BYTES = 8192, 8 << 20


class ExampleReader:
    """Reads what an order asks for; every pipeline opens the split anew.

    Args:
        plan: what is read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self._plan = plan
        self._examples: Examples | None = None
        self._error: Exception | None = None

    # Nothing to convert here, and the files that a conversion writes would outlive a kill.
    @tf.autograph.experimental.do_not_convert
    def batches(self, served: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Return feature -> [size, ...] for each element of `served`, a `Served` of that size.

        What an earlier call opened is closed.
        """
        self.close()
        examples = self._examples = sources.open_split(self._plan)
        features = examples.stored.values()

        def read(*arrays: np.ndarray) -> list[np.ndarray]:
            try:
                return examples.read(Served(*arrays))
            except Exception as error:  # kept: TensorFlow hands on no more than its text
                self._error = self._error or error
                raise

        def read_steps(*steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
            flat = [tf.reshape(values, [-1]) for values in steps]
            dtypes = [tf.as_dtype(feature.dtype) for feature in features]
            columns = tf.numpy_function(read, flat, dtypes, stateful=False)
            shaped = zip(columns, features, strict=True)
            return tuple(tf.reshape(column, [-1, size, *f.shape]) for column, f in shaped)

        # Files are closed in the order of reading, so that steps must not be read in parallel;
        # what is done in parallel is the decoding.
        options = tf.data.Options()
        options.experimental_optimization.map_parallelization = False
        most = min(_READ_BYTES // examples.example_bytes, _READ_EXAMPLES)
        steps = served.batch(max(1, most // size)).map(read_steps).with_options(options)
        return examples.decode(steps.prefetch(1).unbatch(), size)

    def cause(self, error: Exception, served: Iterable[Served]) -> Exception:
        """Return why a pipeline failed: what was met while reading, as it was raised.

        Args:
            error: of the pipeline, which is not read any more; returned where no example is its
                reason.
            served: what stands at the steps in which it came up. Where one of their examples
                cannot be decoded, that is returned: BAD_DATA naming file, record and key.
        """
        if self._error or not isinstance(error, tf.errors.InvalidArgumentError):
            return self._error or error
        self.close()  # two open at once may be more than the stage has room for
        # TensorFlow decodes, and does not tell what it could not; that ends the very step.
        with contextlib.closing(sources.open_split(self._plan)) as examples:
            for step in served:
                try:
                    examples.check(Served(*(values.numpy() for values in step)))
                except RunError as found:
                    return found
        return error

    def close(self) -> None:
        """Close all files."""
        if self._examples is not None:
            self._examples.close()
        self._examples = None


def load(
    info: DatasetInfo, split: Split, stage: Stage, only: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return all examples of a split, as stored, decoded: feature -> [N, ...].

    Args:
        info: of the dataset.
        split: of it.
        stage: where remote files are brought.
        only: features to decode; empty: all of them.

    Raises:
        RunError: BAD_DATA naming the file where a record is damaged or one is missing.
    """
    features = {name: info.features[name] for name in only or info.features}
    if arrays := split.rows():
        return {name: arrays[name] for name in features}
    order, count = SequentialOrder(split), split.num_examples
    plan = ReadPlan(info, split, features, order.reading_order(count), stage)
    return load_first(plan, order, count)


@tf.autograph.experimental.do_not_convert
def load_first(plan: ReadPlan, order: Order, count: int) -> dict[str, np.ndarray]:
    """Return the first examples of an order, decoded: feature -> [count, ...]; see `load`."""
    size = min(_BLOCK, count)
    reader = ExampleReader(plan)

    def serve(start: tf.Tensor) -> Any:
        # The last block is filled up with the last example.
        return tuple(order.serve(tf.minimum(start + tf.range(size, dtype=tf.int64), count - 1)))

    found = {name: empty(count, feature) for name, feature in plan.features.items()}
    start = 0
    with contextlib.closing(reader):
        try:
            for block in reader.batches(tf.data.Dataset.range(0, count, size).map(serve), size):
                for name, values in block.items():
                    found[name][start : start + size] = values.numpy()[: count - start]
                start += size
        except tf.errors.OpError as error:
            raise reader.cause(error, [Served(*serve(tf.constant(start, tf.int64)))]) from None
    return found
