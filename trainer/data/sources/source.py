"""What a source is: it describes a dataset, and opens a split of it.

A new source is one file with these two functions, and one line in the table of this package.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from trainer.config import DatasetConfig
from trainer.data.info import DatasetInfo, Feature, Split
from trainer.data.records.files import Stage

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ReadPlan:
    """What will be read, before anything is opened.

    Attributes:
        info: of the dataset.
        split: to read.
        features: of an example; some of the dataset's, where the others are not needed.
        visits: number of the split's section behind each visit, in the order of reading.
        stage: where remote files are brought.
    """

    info: DatasetInfo
    split: Split
    features: Mapping[str, Feature]
    visits: Sequence[int]
    stage: Stage


class Served(NamedTuple):
    """Examples that are served one after another: in a pipeline tensors, on the host arrays.

    Attributes:
        ids: int64[n], examples counted from the start of the split.
        visits: int64[n], the place of the example's section in the order of reading.
        first_visits: int64[n], from this example on no section before this one is needed.
    """

    ids: Any
    visits: Any
    first_visits: Any


class Examples(Protocol):
    """An open split. Examples are read by number on the host, and decoded in the pipeline.

    Attributes:
        stored: name -> what `read` gives of one example, in its order.
        example_bytes: stored bytes of one example, about.
    """

    stored: Mapping[str, Feature]
    example_bytes: int

    def read(self, served: Served) -> "list[np.ndarray]":
        """Return the examples as they are stored: [n, ...] for each of `stored`.

        Raises:
            RunError: BAD_DATA with the place of the example that cannot be read.
        """

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """Return feature -> [size, ...] of elements that hold [size, ...] of each of `stored`."""

    def check(self, served: Served) -> None:
        """Raise for the first example that `decode` fails on.

        Raises:
            RunError: BAD_DATA naming its place and the feature.
        """

    def close(self) -> None:
        """Close all files; nothing is read any more."""


class Source(Protocol):
    """One kind of dataset."""

    def describe(self, config: DatasetConfig, stage: Stage) -> DatasetInfo:
        """Return what is known before an example is read. TensorFlow is not imported.

        Raises:
            RunError: BAD_CONFIG or BAD_DATA, with the reason.
        """

    def open(self, plan: ReadPlan) -> Examples:
        """Return the examples of a split; they are opened anew for every pipeline."""
