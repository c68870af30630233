"""What changes on the host while a run goes on; with the task's variables, its whole state."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from trainer.engine.step_sums import Totals
from trainer.lineage import Change, Parent
from trainer.optimizers.plateau import PlateauState
from trainer.plan import Plan

Ended = Literal["", "stop.metric", "stop.max_hours"]
BY_METRIC: Ended = "stop.metric"
BY_TIME: Ended = "stop.max_hours"
Status = Literal["done", "stopped_early", "stopped"]


@dataclasses.dataclass(frozen=True)
class StopState:
    """What the rule of `config.stop` remembers between evaluations."""

    best: float | None = None
    """Best value so far; None before the first."""
    bad_evals: int = 0
    """Evaluations since."""


@dataclasses.dataclass
class RunState:
    """Host state of a run, saved with every checkpoint.

    Attributes:
        step: updates so far, skipped ones included.
        totals: since the epoch began, for the epoch's training metrics.
        train: metrics that were last logged.
        evaluation: metrics of the last evaluation.
        logged_step: at which `train` was logged; what is due and was not done is done on resume.
        evaluated_step: at which `evaluation` was made; -1: none yet.
        digested_step: at which the replicas were last compared.
        plateau: of drop on plateau.
        best: the best value of `keep_best_metric`.
        best_step: its step.
        skipped_in_row: updates that were just left out, one after another.
        rollbacks: times that the run went back to an earlier checkpoint.
        updated_step: after the last update that was not left out.
        changes: of code and kernels, under which the run went on.
        stop: of the rule that may end the run early.
        ended: field of the config that has ended it, before its last step; "": none.
        before_end: all of this, plain, before what was done only because no step was left.
        parent: what the run was started from, or None.
    """

    step: int = 0
    totals: Totals | None = None
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    evaluation: dict[str, float] = dataclasses.field(default_factory=dict)
    logged_step: int = 0
    evaluated_step: int = -1
    digested_step: int = 0
    plateau: PlateauState = dataclasses.field(default_factory=PlateauState)
    best: float | None = None
    best_step: int = 0
    skipped_in_row: int = 0
    rollbacks: int = 0
    updated_step: int = 0
    changes: list[Change] = dataclasses.field(default_factory=list)
    stop: StopState = dataclasses.field(default_factory=StopState)
    ended: Ended = ""
    before_end: dict[str, Any] | None = None
    parent: Parent | None = None

    @property
    def mean_loss(self) -> float | None:
        """Mean loss since the epoch began; None where no example was counted."""
        if self.totals is None or not self.totals["weight"]:
            return None
        return float(self.totals["loss"] / self.totals["weight"])

    @property
    def noted_step(self) -> int:
        """The last step whose numbers were written down; those of later ones will be again."""
        # Only an evaluation may be of step 0.
        return max(self.logged_step or -1, self.evaluated_step, self.digested_step or -1)

    def is_over(self, plan: Plan) -> bool:
        """Whether no step is left to make."""
        return bool(self.ended) or self.step == plan.total_steps

    def status(self, plan: Plan) -> Status:
        """Return what the summary calls a run that is left in this state, all else being done."""
        if self.step == plan.total_steps:
            return "done"
        return "stopped_early" if self.ended else "stopped"

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON values; floats keep every bit."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["plateau"] = dataclasses.asdict(self.plateau)
        plain["stop"] = dataclasses.asdict(self.stop)
        plain["parent"] = self.parent and self.parent.to_plain()
        plain["changes"] = [dataclasses.asdict(change) for change in self.changes]
        if self.totals is not None:
            plain["totals"] = {n: np.asarray(v).tolist() for n, v in self.totals.items()}
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "RunState":
        """Undo `to_plain`."""
        # Of an older checkpoint: what was left out right before it is all that it knows.
        updated = plain["step"] - plain["skipped_in_row"]
        state = cls(**{"updated_step": updated, **plain})
        state.changes = [Change.from_plain(change) for change in plain.get("changes", [])]
        state.plateau = PlateauState(**plain["plateau"])
        state.stop = StopState(**plain.get("stop", {}))
        state.parent = Parent.from_plain(plain["parent"]) if plain.get("parent") else None
        if state.totals is not None:
            state.totals = {n: np.asarray(v) for n, v in plain["totals"].items()}
        return state
