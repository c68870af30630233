"""Arrays in memory, or memory-mapped: split -> feature -> array [examples, ...].

For the features of a split a DataFrame may stand, of pandas or of any library whose columns have
`to_numpy`.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig
from trainer.data.info import Arrays, DatasetInfo, Feature, Shard
from trainer.data.records.column_reader import numbered
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.sources import frames, labels, roles, splits

if TYPE_CHECKING:
    import tensorflow as tf

_KINDS = "biuf"
_MOST_BYTES = 8  # of a number; longer ones TensorFlow does not have


def of(returned: Mapping[str, Any], config: DatasetConfig) -> DatasetInfo:
    """Return the dataset of the arrays that the function of the user returned.

    Raises:
        RunError: BAD_CONFIG or BAD_DATA naming split and feature.
    """
    where = f"config.dataset.name={config.name!r}"
    arrays = {s: check(held, f"{where}, split {s!r}", config) for s, held in returned.items()}
    return describe_arrays(config, arrays)


def describe_arrays(config: DatasetConfig, whole: Mapping[str, Arrays]) -> DatasetInfo:
    """Return the dataset of arrays in memory that were checked: split -> feature -> array."""
    arrays, names = _with_classes(whole, config)
    # Nothing is read from the one "shard" of a split: it gives the split its number of examples.
    shards = {n: (Shard(f"memory/{n}", len(next(iter(a.values())))),) for n, a in arrays.items()}
    features = _features(arrays, config, names)
    return splits.choose(config, config.name, features, shards, arrays=arrays)


class ArrayExamples:
    """See `source.Examples`. Arrays may be memory-mapped: only what is asked for is read."""

    def __init__(self, plan: ReadPlan) -> None:
        self.stored = plan.features
        self.example_bytes = max(1, sum(f.num_bytes for f in plan.features.values()))
        self._arrays = plan.split.rows() or {}

    def read(self, served: Served) -> list[np.ndarray]:
        """See `source.Examples`."""
        return [self._arrays[name][served.ids] for name in self.stored]

    def decode(self, stored: "tf.data.Dataset", size: int) -> "tf.data.Dataset":
        """See `source.Examples`."""
        del size
        return stored.map(lambda *values: dict(zip(self.stored, values, strict=True)))

    def check(self, served: Served) -> None:
        """See `source.Examples`: arrays were checked when they were made."""

    def close(self) -> None:
        """See `source.Examples`."""


def _with_classes(
    whole: Mapping[str, Arrays], config: DatasetConfig
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, tuple[str, ...]]]:
    """Return the arrays with numbers for the texts of a label, and those texts, sorted."""
    arrays = {split: dict(held) for split, held in whole.items()}
    names: dict[str, tuple[str, ...]] = {}
    for name in {n for held in arrays.values() for n in held if roles.is_label(n, config)}:
        texts = [held[name] for held in arrays.values() if name in held]
        if all(text.dtype.kind == "O" and text.ndim == 1 for text in texts):
            found = sorted({text.decode() for array in texts for text in array})
            names[name] = tuple(found)
            for held in arrays.values():
                held[name] = numbered(held[name], names[name])
    return arrays, names


def _features(
    whole: Mapping[str, Arrays], config: DatasetConfig, names: Mapping[str, tuple[str, ...]]
) -> dict[str, Feature]:
    """Return the features of an example; classes are counted over all splits."""
    found = {
        split: {
            n: Feature(
                tuple(a.shape[1:]),
                "string" if a.dtype.kind == "O" else str(a.dtype),
                classes=names.get(n, ()),
            )
            for n, a in arrays.items()
        }
        for split, arrays in whole.items()
    }
    return {
        name: dataclasses.replace(feature, num_classes=_num_classes(whole, name, config))
        if labels.is_class(name, feature, config)
        else feature
        for name, feature in splits.shared_features(found).items()
    }


def check(arrays: Any, where: str, config: DatasetConfig) -> dict[str, np.ndarray]:
    """Return the features of a split as TensorFlow takes them.

    Raises:
        RunError: BAD_CONFIG or BAD_DATA naming the feature, and what is wrong with it.
    """
    if not isinstance(arrays, Mapping) and hasattr(arrays, "columns"):
        arrays = frames.to_arrays(arrays, where)
    if not isinstance(arrays, Mapping) or not arrays:
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: no mapping of feature to array")
    checked = {name: plain(values, f"{where}, feature {name!r}") for name, values in arrays.items()}
    if len({len(array) for array in checked.values()}) > 1:
        lengths = {name: len(array) for name, array in checked.items()}
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: features of different length: {lengths}")
    return {
        name: labels.as_classes(array, is_told=name in config.roles)
        if roles.is_label(name, config)
        else array
        for name, array in checked.items()
    }


def plain(values: Any, where: str) -> np.ndarray:
    """Return an array as TensorFlow takes it.

    Raises:
        RunError: BAD_CONFIG where it holds no numbers, BAD_DATA where some are masked.
    """
    array = native(values, where)
    if array.dtype == object:
        return _texts(array, where)
    if array.dtype.kind not in _KINDS or array.ndim == 0 or array.dtype.itemsize > _MOST_BYTES:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{where}: {array.dtype}{list(array.shape)} is not an array of numbers with one row an "
            "example",
        )
    return array


def native(values: Any, where: str) -> np.ndarray:
    """Return an array in the byte order of this machine; text is objects.

    Raises:
        RunError: BAD_DATA where some values are masked.
        ValueError: for lists of different lengths.
    """
    if np.ma.is_masked(values):
        count = int(np.ma.getmaskarray(values).sum())
        raise RunError(
            ExitCode.BAD_DATA,
            f"{where}: {count} values are masked; fill them, or leave their examples out",
        )
    array = np.asarray(values)
    if array.dtype.kind in "SU":
        return np.asarray(values, object)  # fixed widths lose zeros at the end
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _texts(array: np.ndarray, where: str) -> np.ndarray:
    """Return text as object[n, ...] of bytes; other objects are refused."""
    texts = np.empty(array.shape, object)
    for place, value in enumerate(array.ravel().tolist()):
        if not isinstance(value, str | bytes):
            raise RunError(
                ExitCode.BAD_DATA,
                f"{where}: value {place} is {value!r}, a {type(value).__name__}; give an array of "
                "numbers, or of text, without missing values",
            )
        texts.ravel()[place] = value.encode() if isinstance(value, str) else value
    return texts


def _num_classes(whole: Mapping[str, Arrays], name: str, config: DatasetConfig) -> int:
    extents = {
        split: labels.Extent.of(labels.counted(arrays[name], name, config))
        for split, arrays in whole.items()
    }
    return labels.num_classes(extents, name, config)
