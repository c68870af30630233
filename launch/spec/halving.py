"""Successive halving: many trials begin, and at each rung the best share of them goes on.

A rung is a number of steps. A trial that goes on continues its run with more `train_steps`, so it
has the bits of one that was that long from the start.

Source: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization" (AISTATS 2016). The numbers of trials and steps are those of a bracket of L. Li et
al., "Hyperband" (JMLR 18, 2018), algorithm 1: rung i has floor(n / eta^i) trials with R / eta^(s-i)
steps.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Values = Mapping[int, float | None]
"""Trial -> what it reached in a rung; None: it failed, or it is no number; it does not go on."""


@dataclasses.dataclass(frozen=True)
class Halving:
    """How a sweep leaves trials out.

    Attributes:
        metric: of the evaluation at the end of a rung, by which trials are ranked.
        train_steps: R, the steps of the last rung.
        mode: whether larger or smaller is better.
        factor: eta; one of so many trials goes on, with so many times the steps.
        least_steps: of the first rung.
    """

    metric: str
    train_steps: int
    mode: Literal["max", "min"] = "max"
    factor: int = 3
    least_steps: int = 1

    def __post_init__(self) -> None:
        for name, value, least in (
            ("train_steps", self.train_steps, 1),
            ("factor", self.factor, 2),
            ("least_steps", self.least_steps, 1),
        ):
            if type(value) is not int or value < least:
                raise ValueError(f"`halving.{name}` is {value!r}; a whole number from {least} on")
        if self.mode not in ("max", "min"):
            raise ValueError(f"`halving.mode` is {self.mode!r}; max or min")
        if not isinstance(self.metric, str) or not self.metric:
            raise ValueError("`halving.metric` is missing: a metric of the evaluation")


@dataclasses.dataclass(frozen=True)
class Rung:
    """Where trials are compared.

    Attributes:
        steps: after which.
        trials: that reach it.
    """

    steps: int
    trials: int


def rungs(halving: Halving, num_trials: int) -> list[Rung]:
    """Return the rungs, the last one with all `train_steps`.

    There are as many as leave a trial in the last and `least_steps` for the first.
    """
    last, eta = 0, halving.factor
    while num_trials >= eta ** (last + 1) and (
        halving.train_steps // eta ** (last + 1) >= halving.least_steps
    ):
        last += 1
    return [
        Rung(halving.train_steps // eta ** (last - i), num_trials // eta**i)
        for i in range(last + 1)
    ]


def ranking(halving: Halving, values: Values) -> list[int]:
    """Return the trials of a rung, the best first; equal ones by number, those that failed last."""
    return sorted(values, key=lambda trial: rank(halving.mode, values[trial], trial))


def rank(mode: str, value: float | None, trial: int) -> tuple[bool, float, int]:
    """Return what trials of one rung are sorted by."""
    if value is None or math.isnan(value):
        return True, 0.0, trial
    return False, -value if mode == "max" else value, trial


def chosen(halving: Halving, values: Values, count: int) -> list[int]:
    """Return the trials that go on from a rung, in order of their number."""
    alive = [trial for trial in ranking(halving, values) if values[trial] is not None]
    return sorted(alive[:count])


def digest(halving: Halving, trials: Sequence[Sequence[str]]) -> str:
    """Return what tells a sweep from another one: of all that was drawn, and of the rule.

    The folders of the trials are left out: a sweep may be moved.
    """
    fields = [list(trial[:-1]) for trial in trials]
    told: Any = [dataclasses.asdict(halving), fields]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
