"""Where examples are read from: records of files, or arrays in the host's memory."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from common.exit_codes import RunError
from trainer.data.info import Feature, Split
from trainer.data.records import decode
from trainer.data.records.files import Stage, file_bytes
from trainer.data.records.reader import Record, RecordReader
from trainer.data.serving.host_calls import HostCalls
from trainer.data.serving.order import Order, SequentialOrder, Served

_BLOCK = 1024
# Read at once: enough that neighbours in a file are met, and little memory.
_READ_RECORDS, _READ_BYTES = 8192, 8 << 20


class Examples(Protocol):
    """Reads the examples that an order asks for."""

    def read(self, served: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Return feature -> [size, ...] for each element of `served`, an `order.Served`."""

    def close(self) -> None:
        """Close all files."""

    def cause(self, error: Exception, served: Iterable[Served]) -> Exception:
        """Return why the pipeline failed: what was met while reading, as it was raised.

        Args:
            error: of the pipeline; returned where no example is its reason.
            served: what stands at the steps in which it came up. Where one of their examples
                cannot be decoded, that is returned: BAD_DATA naming file, record and key.
        """


class RecordExamples:
    """Examples in TFRecord files.

    Args:
        split: to read.
        features: of an example.
        order: in which it will be read.
        num_positions: how far it will be read.
        stage: where remote shards are brought.
        skip_bad: damaged records are not counted among the examples.
    """

    def __init__(
        self,
        split: Split,
        features: Mapping[str, Feature],
        order: Order,
        *,
        num_positions: int,
        stage: Stage,
        skip_bad: bool,
    ) -> None:
        self._split = split
        self._features = features
        self._reading_order = order.reading_order(num_positions)
        self._stage = stage
        self._skip_bad = skip_bad
        self._reader: RecordReader | None = None
        self._calls = HostCalls()

    # Nothing to convert here, and the files that a conversion writes would outlive a kill.
    @tf.autograph.experimental.do_not_convert
    def read(self, served: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """See `Examples`; the reader of an earlier call is closed."""
        self.close()
        reader = self._reader = self._make_reader()

        def read_steps(*steps: tf.Tensor) -> tf.Tensor:
            flat = [tf.reshape(values, [-1]) for values in steps]
            block = self._calls.call(reader.read, flat, tf.string)
            return tf.reshape(block, [-1, size])

        # Shards are closed in the order of reading, so that steps must not be read in parallel;
        # what is done in parallel is the decoding.
        options = tf.data.Options()
        options.experimental_optimization.map_parallelization = False
        num_steps = max(1, min(_READ_BYTES // self._record_bytes(), _READ_RECORDS) // size)
        steps = served.batch(num_steps).map(read_steps).with_options(options).prefetch(1)
        blocks = steps.unbatch()
        return decode.decode_blocks(blocks, self._features, size)

    def cause(self, error: Exception, served: Iterable[Served]) -> Exception:
        """See `Examples`; the pipeline is not read any more."""
        if self._calls.error or not isinstance(error, tf.errors.InvalidArgumentError):
            return self._calls.error or error
        self.close()  # two readers at once may be more than the stage has room for
        # TensorFlow decodes, and does not tell what it could not; that ends the very step.
        with contextlib.closing(self._make_reader()) as reader:
            for step in served:
                try:
                    self._check(reader, step)
                except RunError as found:
                    return found
        return error

    def close(self) -> None:
        """Close all files."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _check(self, reader: RecordReader, served: Served) -> None:
        ids, visits, first_visits = (value.numpy() for value in served)
        read = zip(reader.read(ids, visits, first_visits), ids, visits, strict=True)
        found = [Record(data, reader.where(int(i), int(visit))) for data, i, visit in read]
        decode.check(found, self._features)

    def _record_bytes(self) -> int:
        """Return the mean size of a stored example, by the first shard."""
        first = self._split.sections[0].shard
        return max(1, file_bytes(first.url) // max(1, first.num_examples))

    def _make_reader(self) -> RecordReader:
        return RecordReader(self._split, self._reading_order, self._stage, skip_bad=self._skip_bad)


class ArrayExamples:
    """Examples in arrays, which may be memory-mapped.

    Args:
        arrays: feature -> [N, ...].
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays
        self._calls = HostCalls()

    @tf.autograph.experimental.do_not_convert
    def read(self, served: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """See `Examples`."""
        names = list(self._arrays)
        dtypes = [tf.as_dtype(self._arrays[name].dtype) for name in names]

        def read_step(ids: tf.Tensor, *_: tf.Tensor) -> dict[str, tf.Tensor]:
            values = self._calls.call(self._gather, [ids], dtypes)
            shaped = zip(names, values, strict=True)
            return {n: tf.ensure_shape(v, [size, *self._arrays[n].shape[1:]]) for n, v in shaped}

        return served.map(read_step)

    def cause(self, error: Exception, served: Iterable[Served]) -> Exception:
        """See `Examples`; arrays were checked when they were made."""
        del served
        return self._calls.error or error

    def close(self) -> None:
        """See `Examples`."""

    def _gather(self, ids: np.ndarray) -> list[np.ndarray]:
        return [array[ids] for array in self._arrays.values()]


@tf.autograph.experimental.do_not_convert
def load(
    split: Split, features: Mapping[str, Feature], *, stage: Stage, skip_bad: bool
) -> dict[str, np.ndarray]:
    """Return all examples of a split, decoded: feature -> [N, ...].

    Raises:
        RunError: BAD_DATA naming the file where a record is damaged or one is missing.
    """
    if split.arrays is not None:
        return {name: array[split.start : split.stop] for name, array in split.arrays.items()}
    order, total = SequentialOrder(split), split.num_examples
    examples = RecordExamples(
        split, features, order, num_positions=total, stage=stage, skip_bad=skip_bad
    )
    size = min(_BLOCK, total)

    def serve(start: tf.Tensor) -> Any:
        return tuple(order.serve(start + tf.range(size, dtype=tf.int64)))

    whole = {n: _empty(total, f) for n, f in features.items()}
    start = 0
    try:
        for block in examples.read(tf.data.Dataset.range(0, total, size).map(serve), size):
            for name, values in block.items():
                whole[name][start : start + size] = values.numpy()[: total - start]
            start += size
    except tf.errors.OpError as error:
        raise examples.cause(error, [Served(*serve(tf.constant(start, tf.int64)))]) from None
    finally:
        examples.close()
    return whole


def _empty(count: int, feature: Feature) -> np.ndarray:
    is_text = feature.dtype == "string"
    dtype = object if is_text else tf.as_dtype(feature.dtype).as_numpy_dtype
    return np.empty([count, *(d or 0 for d in feature.shape)], dtype)
