"""Examples that lie in TFRecord files: what every source of such files opens."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainer.data.info import Feature
from trainer.data.records.files import file_bytes
from trainer.data.records.reader import RecordReader
from trainer.data.sources.source import ReadPlan, Served

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


class RecordExamples:
    """See `source.Examples`. What is read is one column: serialized examples.

    TensorFlow is imported where records are decoded, as sources are described before.
    """

    def __init__(self, plan: ReadPlan) -> None:
        first = plan.split.sections[0].shard
        self.stored: Mapping[str, Feature] = {"record": Feature((), "string")}
        self.example_bytes = max(1, file_bytes(first.url) // max(1, first.num_examples))
        self._features = plan.features
        self._reader = RecordReader(
            plan.split, plan.visits, plan.stage, skip_bad=plan.info.config.skip_bad_records
        )

    def read(self, served: Served) -> "list[np.ndarray]":
        """See `source.Examples`."""
        return [self._reader.read(*served)]

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """See `source.Examples`."""
        from trainer.data.records import decode

        return decode.decode_blocks(stored, self._features, size)

    def check(self, served: Served) -> None:
        """See `source.Examples`."""
        from trainer.data.records import decode

        records = self._reader.read(*served).tolist()
        places = map(self._reader.where, served.ids.tolist(), served.visits.tolist())
        decode.check(dict(zip(places, records, strict=True)), self._features)

    def close(self) -> None:
        """See `source.Examples`."""
        self._reader.close()
