"""What changes while a run goes on; with the task's variables this is its whole state."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.engine.step_sums import Totals
from trainer.optimizers.plateau import PlateauState


@dataclasses.dataclass
class Progress:
    """Host state of a run, saved with every checkpoint.

    Attributes:
        step: updates so far, skipped ones included.
        totals: since the epoch began, for the epoch's training metrics.
        train: metrics that were last logged.
        evaluation: metrics of the last evaluation.
        logged_step: at which `train` was logged; what is due and was not done is done on resume.
        evaluated_step: at which `evaluation` was made; -1: none yet.
        plateau: of drop on plateau.
        best: the best value of `keep_best_metric`.
        best_step: its step.
        skipped_in_row: updates that were just left out, one after another.
        rollbacks: times that the run went back to an earlier checkpoint.
    """

    step: int = 0
    totals: Totals | None = None
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    evaluation: dict[str, float] = dataclasses.field(default_factory=dict)
    logged_step: int = 0
    evaluated_step: int = -1
    plateau: PlateauState = dataclasses.field(default_factory=PlateauState)
    best: float | None = None
    best_step: int = 0
    skipped_in_row: int = 0
    rollbacks: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON values; floats keep every bit."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["plateau"] = dataclasses.asdict(self.plateau)
        if self.totals is not None:
            plain["totals"] = {n: np.asarray(v).tolist() for n, v in self.totals.items()}
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Progress":
        """Undo `to_plain`."""
        progress = cls(**plain)
        progress.plateau = PlateauState(**plain["plateau"])
        if progress.totals is not None:
            progress.totals = {n: np.asarray(v) for n, v in plain["totals"].items()}
        return progress
