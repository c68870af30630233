"""What will be read of a dataset, before anything is opened, and how it is asked for."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainer.data.info import DatasetInfo, Feature, Split
from trainer.data.records.files import Stage


@dataclasses.dataclass(frozen=True)
class ReadPlan:
    """What is opened: a split, and the order in which its sections will be visited.

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
