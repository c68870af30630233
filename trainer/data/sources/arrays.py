"""Arrays that a function of the user returns: `config.dataset.name = "module:function"`.

    def build(size: int) -> dict:
        return {"train": {"image": images, "label": labels}, "test": {...}}

It is called with `config.dataset.args`. Arrays may be memory-mapped.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import registry
from trainer.config import DatasetConfig
from trainer.data.info import Arrays, DatasetInfo, Feature, Shard
from trainer.data.records.files import Stage
from trainer.data.records.read_plan import ReadPlan, Served
from trainer.data.sources import splits

if TYPE_CHECKING:
    import tensorflow as tf

_KINDS = "biuf"


def describe(config: DatasetConfig, stage: Stage) -> DatasetInfo:
    """See `source.Source`: the function is called, once for the whole run."""
    del stage
    arrays = _call(config.name, config.args)
    # Nothing is read from the one "shard" of a split: it gives the split its number of examples.
    shards = {n: (Shard("memory", len(next(iter(a.values())))),) for n, a in arrays.items()}
    return splits.choose(config, config.name, _features(arrays), shards, arrays=arrays)


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


open = ArrayExamples


def _call(name: str, args: Mapping[str, Any]) -> dict[str, Arrays]:
    """Call the function and check what it returns: split -> feature -> array."""
    where = f"config.dataset.name={name!r}"
    function = registry.resolve({}, name, "config.dataset.name")
    try:
        returned = function(**args)
    except TypeError as error:
        if error.__traceback__ and error.__traceback__.tb_next is None:
            raise RunError(
                ExitCode.BAD_CONFIG, f"config.dataset.args={dict(args)}: {error}"
            ) from error
        raise
    if not isinstance(returned, Mapping) or not returned:
        raise RunError(
            ExitCode.BAD_CONFIG, f"{where} returned no mapping of split to feature to array"
        )
    return {
        split: _check(features, f"{where}, split {split!r}") for split, features in returned.items()
    }


def _features(whole: Mapping[str, Arrays]) -> dict[str, Feature]:
    """Return the features of an example; classes are counted over all splits."""
    found = {
        split: {n: Feature(tuple(a.shape[1:]), str(a.dtype)) for n, a in arrays.items()}
        for split, arrays in whole.items()
    }
    first, *others = found.items()
    for name, other in others:
        if other != first[1]:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.dataset.name: splits {first[0]!r} and {name!r} have different features: "
                f"{first[1]} and {other}",
            )
    return {
        name: dataclasses.replace(feature, num_classes=_num_classes(whole, name))
        if feature.shape == () and feature.dtype.startswith(("int", "uint"))
        else feature
        for name, feature in first[1].items()
    }


def _check(arrays: Any, where: str) -> dict[str, np.ndarray]:
    if not isinstance(arrays, Mapping) or not arrays:
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: no mapping of feature to array")
    checked = {name: np.asanyarray(values) for name, values in arrays.items()}
    for name, array in checked.items():
        if array.dtype.kind not in _KINDS or array.ndim == 0:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{where}, feature {name!r}: {array.dtype}{list(array.shape)} is not an array of "
                "numbers with one row an example",
            )
    if len({len(array) for array in checked.values()}) > 1:
        lengths = {name: len(array) for name, array in checked.items()}
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: features of different length: {lengths}")
    return checked


def _num_classes(whole: Mapping[str, Arrays], name: str) -> int:
    for split, arrays in whole.items():
        if len(arrays[name]) and arrays[name].min() < 0:
            raise RunError(
                ExitCode.BAD_DATA,
                f"config.dataset.name: split {split!r}, feature {name!r}: example "
                f"{int(arrays[name].argmin())} is {int(arrays[name].min())}; a label is 0 or more",
            )
    return max(int(arrays[name].max()) for arrays in whole.values() if len(arrays[name])) + 1
