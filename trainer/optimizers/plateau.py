"""Drop on plateau: lower the learning rate when an evaluation metric stops improving.

A pure state machine on host numbers. Every worker feeds it the same reduced metric, so every
worker gets the same scale, and the state is three numbers in a checkpoint.
"""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class PlateauState:
    """What drop on plateau remembers between evaluations."""

    best: float | None = None
    """Best value so far; None before the first."""
    bad_evals: int = 0
    """Evaluations since the last improvement or drop."""
    scale: float = 1.0
    """Factor on the learning rate."""


def update_plateau(
    state: PlateauState,
    value: float,
    *,
    factor: float,
    patience: int,
    min_delta: float,
    mode: Literal["min", "max"],
    min_scale: float,
) -> PlateauState:
    """Return the state after one more evaluation.

    Formula: scale' = max(min_scale, scale * factor) at the `patience`-th evaluation in a row
    that did not improve; NaN never improves.

    Args:
        state: state before.
        value: the evaluation metric.
        factor: of each drop, in (0, 1).
        patience: evaluations without improvement until a drop, >= 1.
        min_delta: least change that counts as an improvement, in the metric's unit.
        mode: whether the metric should fall ("min") or rise ("max").
        min_scale: least scale, in (0, 1].
    """
    if improves(state.best, value, min_delta, mode):
        return dataclasses.replace(state, best=value, bad_evals=0)
    if state.bad_evals + 1 < patience:
        return dataclasses.replace(state, bad_evals=state.bad_evals + 1)
    scale = max(min_scale, state.scale * factor)
    return dataclasses.replace(state, bad_evals=0, scale=scale)


def improves(
    best: float | None, value: float, min_delta: float, mode: Literal["min", "max"]
) -> bool:
    """Whether `value` is better than the best so far by more than `min_delta`; NaN never is."""
    sign = 1.0 if mode == "max" else -1.0
    reference = float("-inf") if best is None else sign * best + min_delta
    return sign * value > reference
