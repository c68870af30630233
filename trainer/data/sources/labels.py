"""Labels whose classes no source tells: counted from the numbers that the examples hold."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import Feature
from trainer.data.sources import roles

_MANY_CLASSES = 1000


class Extent(NamedTuple):
    """What of the numbers of a split decides how many classes there are.

    Attributes:
        low: the smallest.
        at: the first example that holds it.
        high: the largest.
        size: number of examples.
    """

    low: int
    at: int
    high: int
    size: int

    @classmethod
    def of(cls, array: np.ndarray) -> "Extent":
        """Return the extent of whole numbers [N]."""
        if not len(array):
            return cls(0, 0, 0, 0)
        return cls(int(array.min()), int(array.argmin()), int(array.max()), len(array))

    def with_next(self, array: np.ndarray) -> "Extent":
        """Return the extent of all of these and the numbers [n] that follow them."""
        other = Extent.of(array)
        if not self.size or not other.size:
            return other if not self.size else self
        low, at = min((self.low, self.at), (other.low, other.at + self.size))
        return Extent(low, at, max(self.high, other.high), self.size + other.size)


def is_class(name: str, feature: Feature, config: DatasetConfig) -> bool:
    """Whether the numbers are classes: those of the label, not any whole number."""
    is_whole = feature.dtype.startswith(("int", "uint"))
    return roles.is_label(name, config) and feature.shape == () and is_whole


def as_classes(label: np.ndarray, *, is_told: bool) -> np.ndarray:
    """Return a label as whole numbers [N], where that is what it holds in another form.

    Args:
        label: [N, ...].
        is_told: config or loss say that these are classes, not the name alone.
    """
    if label.ndim == 2 and label.shape[1] == 1:
        label = label[:, 0]
    if label.ndim == 1 and label.dtype.kind == "b":
        return label.astype(np.int64)
    if is_told and label.ndim == 1 and label.dtype.kind == "f" and (label == np.floor(label)).all():
        return label.astype(np.int64)
    return label


def counted(values: np.ndarray, name: str, config: DatasetConfig) -> np.ndarray:
    """Return a label with 0 for the value that counts in no loss: it is no class."""
    ignore = roles.ignored(name, config)
    return values if ignore is None else np.where(values == ignore, values.dtype.type(0), values)


def num_classes(extents: Mapping[str, Extent], name: str, config: DatasetConfig) -> int:
    """Return one more than the largest class of all splits; raises as `count_classes`."""
    held = {split: extent for split, extent in extents.items() if extent.size}
    if not held:
        return 1
    split = min(held, key=lambda split: held[split].low)
    return count_classes(
        name,
        config,
        lowest=held[split].low,
        where=f"split {split!r}, feature {name!r}: example {held[split].at}",
        highest=max(extent.high for extent in held.values()),
        num_examples=sum(extent.size for extent in held.values()),
    )


def count_classes(
    name: str, config: DatasetConfig, *, lowest: int, where: str, highest: int, num_examples: int
) -> int:
    """Return the number of classes of a label.

    Args:
        name: of the feature.
        config: which may say that the numbers are classes, however many.
        lowest: value; one below 0 is no class.
        where: the place of the lowest value.
        highest: value of all.
        num_examples: of all splits together.

    Raises:
        RunError: BAD_DATA for a class below 0, BAD_CONFIG where these are no classes, it seems.
    """
    if lowest < 0:
        raise RunError(
            ExitCode.BAD_DATA,
            f"config.dataset.name: {where} is {lowest}; a label is 0 or more; {as_target(name)}",
        )
    found = highest + 1
    if found > max(num_examples, _MANY_CLASSES) and config.roles.get(name) != "label":
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.dataset.name: feature {name!r}: {found} classes for {num_examples} examples? "
            f'{as_target(name)}; if they are classes, "label"',
        )
    return found


def as_target(name: str) -> str:
    """Return the advice for a label that is no class."""
    line = json.dumps({name: "target"})
    return f"if it is a number and no class, write --config.dataset.roles='{line}'"
