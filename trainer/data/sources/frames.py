"""DataFrames as arrays, a column a feature; a missing value is refused by its row."""

import math
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError


def to_arrays(frame: Any, where: str) -> dict[str, np.ndarray]:
    """Return column -> [rows] of a DataFrame of pandas, polars or a library like them.

    The index is not read: the rows are examples in the order in which they stand.

    Raises:
        RunError: BAD_DATA where a value is missing or two columns have one name.
    """
    names = [str(name) for name in frame.columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RunError(ExitCode.BAD_DATA, f"{where}: has the column {twice[0]!r} twice; rename one")
    arrays = {}
    for name, column in zip(names, frame.columns, strict=True):
        values = np.asarray(frame[column].to_numpy())
        missing = _missing(values)
        if missing.any():
            raise RunError(
                ExitCode.BAD_DATA,
                f"{where}: row {int(missing.argmax())}: column {name!r} is missing; fill it, leave "
                "the row out, or leave the column out",
            )
        arrays[name] = _narrowed(values)
    return arrays


def _missing(values: np.ndarray) -> np.ndarray:
    """Return bool[n]: NaN, None, NA and NaT, which are unlike themselves or no value at all."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), bool)
    return np.array([_is_missing(value) for value in values], bool)


def _is_missing(value: Any) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def _narrowed(values: np.ndarray) -> np.ndarray:
    """Return objects that are all numbers of one type as such: so columns that may miss come."""
    if values.dtype.kind != "O" or len(types := {type(value) for value in values}) != 1:
        return values
    return np.array(values.tolist()) if types <= {int, float, bool} else values
