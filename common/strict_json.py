"""Standard JSON, which cannot represent a number that is not finite: such a number is null."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def dumps(
    value: Any, *, indent: int | None = None, instead: Callable[[float], Any] = lambda _: None
) -> str:
    """Return the text of plain values; NaN and the infinities are null.

    Args:
        value: mappings by text, lists, numbers, text, None.
        indent: of each level; None: one line.
        instead: what stands for a number that is not finite, where it has to be told again.
    """
    return json.dumps(_finite(value, instead), indent=indent, allow_nan=False)


def _finite(value: Any, instead: Callable[[float], Any]) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else instead(value)
    if isinstance(value, Mapping):
        return {name: _finite(item, instead) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, instead) for item in value]
    return value
