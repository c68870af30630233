"""Quantities of Kubernetes: 4, 500m, 16Gi, 1e3."""

import re
from fractions import Fraction

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": 1024 ** (n + 1) for n, letter in enumerate("KMGTPE")}


def worth(value: object) -> Fraction | None:
    """The number that a quantity stands for, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _QUANTITY.fullmatch(str(value))
    if not found:
        return None
    unit = found["unit"] or ""
    if unit[:1] in ("e", "E") and len(unit) > 1 and unit not in _BINARY:
        return Fraction(found["number"]) * Fraction(10) ** int(unit[1:])
    scale = Fraction(10) ** _DECIMAL[unit] if unit in _DECIMAL else Fraction(_BINARY[unit])
    return Fraction(found["number"]) * scale
