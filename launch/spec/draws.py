"""Random search: fields of a trial as a pure function of (seed, trial, field).

So more trials leave the first ones as they are, and a field that is added leaves the others.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

_BITS = 53  # of a float


def draw(space: Mapping[str, Any], seed: int, trial: int) -> dict[str, Any]:
    """Return the fields of one trial.

    Args:
        space: field -> a list of values, `{uniform: [low, high]}`, `{log: [low, high]}` (uniform in
            the logarithm), or `{whole: [low, high]}` (whole numbers, both ends included).
        seed: of the sweep.
        trial: its number.

    Raises:
        ValueError: a field that says something else.
    """
    return {name: _one(name, asked, _unit(seed, trial, name)) for name, asked in space.items()}


def _unit(seed: int, trial: int, field: str) -> float:
    """Return a number in [0, 1). A hash: `random` promises no numbers across its versions."""
    found = hashlib.sha256(f"{seed}/{trial}/{field}".encode()).digest()
    return (int.from_bytes(found[:8], "big") >> (64 - _BITS)) / 2**_BITS


def _one(field: str, asked: Any, unit: float) -> Any:
    if isinstance(asked, list) and asked:
        return asked[int(unit * len(asked))]
    if isinstance(asked, dict) and len(asked) == 1:
        [(kind, ends)] = asked.items()
        if kind in _KINDS and _are_ends(ends, kind):
            return _KINDS[kind](*ends, unit)
    raise ValueError(
        f"`random.fields` has {field}: {asked}; write a list of values, or one of {{uniform: "
        "[low, high]}, {log: [low, high]} with low above 0, {whole: [low, high]}"
    )


def _are_ends(ends: Any, kind: str) -> bool:
    numbers = (int,) if kind == "whole" else (int, float)
    if not isinstance(ends, list) or len(ends) != 2 or any(type(x) not in numbers for x in ends):
        return False
    low, high = ends
    return math.isfinite(low) and math.isfinite(high) and low < high and (kind != "log" or low > 0)


def _uniform(low: float, high: float, unit: float) -> float:
    return _short(low + (high - low) * unit)


def _log(low: float, high: float, unit: float) -> float:
    return _short(low * (high / low) ** unit)


def _whole(low: int, high: int, unit: float) -> int:
    return low + int(unit * (high - low + 1))


def _short(value: float) -> float:
    """Round to what can be read; the last bits of a power are the C library's."""
    return float(f"{value:.6g}")


_KINDS: dict[str, Callable[..., Any]] = {"uniform": _uniform, "log": _log, "whole": _whole}
