"""What a call of the inner loop returns, and how it is added up."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.engine.virtual_replica import VirtualReplicaState
from trainer.task import Task

Totals = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class StepSums:
    """Sums over the examples of some steps.

    Attributes:
        num_steps: n.
        each: name -> float32[n], one value a step.
        whole: name -> sum over all n steps, for sums that are not scalars.
    """

    num_steps: int
    each: Mapping[str, np.ndarray]
    whole: Mapping[str, np.ndarray]

    def first(self, num_steps: int) -> "StepSums":
        """Return the first `num_steps` steps; `whole` cannot be cut and stays."""
        each = {name: values[:num_steps] for name, values in self.each.items()}
        return StepSums(num_steps, each, self.whole)


def add(totals: Totals | None, sums: StepSums) -> Totals:
    """Add the steps one by one in float64, so that the result does not depend on the calls.

    A step that was skipped counts under "skipped" and nowhere else.
    """
    skipped = sums.each.get("skipped", np.zeros(sums.num_steps, np.float32))
    each = {name: np.where(skipped, 0.0, values) for name, values in sums.each.items()}
    each |= {"steps": 1.0 - skipped, "skipped": skipped}
    totals = totals or {}
    added = {name: _run_on(totals.get(name), values) for name, values in each.items()}
    return added | {name: totals.get(name, 0.0) + value for name, value in sums.whole.items()}


def _run_on(total: np.ndarray | None, values: np.ndarray) -> np.ndarray:
    start = np.zeros(1) if total is None else np.reshape(total, 1)
    # cumsum adds from left to right; sum does not.
    return np.cumsum(np.concatenate([start, values.astype(np.float64)]))[-1]


def zero_sums(task: Task, *, training: bool) -> dict[str, tf.Tensor]:
    """Return the sums of no step at all, with the names and shapes that a step returns."""
    shapes: dict[str, Any] = {"loss": [], "weight": []}
    shapes |= {name: v.shape for name, v in VirtualReplicaState(task).counters.items()}
    if training:
        shapes |= {f"gradient_norm/{role}": [] for role in task.optimizers}
        shapes["skipped"] = []
        shapes |= {"spike": []} if task.loss_spike else {}
        shapes |= {"loss_scale": []} if task.loss_scale else {}
    return {name: tf.zeros(shape) for name, shape in shapes.items()}
