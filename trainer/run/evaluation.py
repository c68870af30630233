"""One pass over the evaluation split, and what follows from its numbers."""

import dataclasses
from collections.abc import Callable

from trainer import failpoints
from trainer.config import TrainConfig
from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
from trainer.engine.step_sums import Totals, add
from trainer.optimizers.plateau import update_plateau
from trainer.plan import Plan
from trainer.run.results import results
from trainer.run.session import Session
from trainer.run.state import Progress


def evaluate(live: Session, plan: Plan, stopped: Callable[[], bool]) -> dict[str, float] | None:
    """Return loss and metrics over the whole split, or None if a signal came meanwhile."""
    totals: Totals | None = None
    assert live.evaluate is not None  # noqa: S101 - the caller asks only where there is a split
    for first in range(0, plan.eval_steps, MAX_STEPS_PER_CALL):
        failpoints.reach("evaluate.boundary")
        if first and stopped():
            return None
        totals = add(totals, live.evaluate(first, min(MAX_STEPS_PER_CALL, plan.eval_steps - first)))
    assert totals is not None  # noqa: S101 - a split is never empty
    return results(totals, live.task.metrics, plan.eval_steps)


def take_note(config: TrainConfig, progress: Progress, values: dict[str, float]) -> None:
    """Keep the numbers of an evaluation, and what drop on plateau and keep-best make of them."""
    progress.evaluation, progress.evaluated_step = values, progress.step
    if not progress.step:
        return  # how a run is watched must not change what it computes or keeps
    if rule := config.plateau.metric:
        value = values[rule]
        arguments = {k: v for k, v in dataclasses.asdict(config.plateau).items() if k != "metric"}
        progress.plateau = update_plateau(progress.plateau, value, **arguments)
    if config.keep_best_metric:
        value = values[config.keep_best_metric]
        if _is_better(value, progress.best, config.keep_best_mode):
            progress.best, progress.best_step = value, progress.step


def _is_better(value: float, best: float | None, mode: str) -> bool:
    sign = 1.0 if mode == "max" else -1.0
    return sign * value > (float("-inf") if best is None else sign * best)
