"""Examples that an own function returns as arrays: `config.dataset.name = "module:function"`.

    def build(size: int) -> dict:
        return {"train": {"image": images, "label": labels}, "test": {...}}

It is called with `config.dataset.args`. Arrays may be memory-mapped.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.info import Feature, Shard

Splits = dict[str, dict[str, np.ndarray]]
_KINDS = "biuf"


def call(function: Any, name: str, args: Mapping[str, Any]) -> Splits:
    """Call an own function and check what it returns.

    Raises:
        RunError: BAD_CONFIG naming the function, the split and the feature that is wrong.
    """
    where = f"config.dataset.name={name!r}"
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


def shards(splits: Splits) -> dict[str, tuple[Shard, ...]]:
    """Return every split as one shard."""
    counts = {name: len(next(iter(arrays.values()))) for name, arrays in splits.items()}
    return {name: (Shard("memory", count),) for name, count in counts.items()}


def features(splits: Splits) -> dict[str, Feature]:
    """Return the features of an example; the classes of whole numbers are counted over all splits.

    Raises:
        RunError: BAD_CONFIG where splits differ.
    """
    found = {split: {n: _feature(a) for n, a in arrays.items()} for split, arrays in splits.items()}
    first, *others = found.items()
    for name, other in others:
        if other != first[1]:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.dataset.name: splits {first[0]!r} and {name!r} have different features: "
                f"{first[1]} and {other}",
            )
    return {
        name: dataclasses.replace(feature, num_classes=_num_classes(splits, name))
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


def _feature(array: np.ndarray) -> Feature:
    return Feature(tuple(array.shape[1:]), str(array.dtype))


def _num_classes(splits: Splits, name: str) -> int:
    for split, arrays in splits.items():
        if len(arrays[name]) and arrays[name].min() < 0:
            raise RunError(
                ExitCode.BAD_DATA,
                f"config.dataset.name: split {split!r}, feature {name!r}: example "
                f"{int(arrays[name].argmin())} is {int(arrays[name].min())}; a label is 0 or more",
            )
    return max(int(arrays[name].max()) for arrays in splits.values() if len(arrays[name])) + 1
