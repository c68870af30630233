"""One pass over the evaluation split, its numbers, and what follows from them."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from trainer import failpoints
from trainer.config import TrainConfig
from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
from trainer.engine import metric_states
from trainer.engine.step_sums import Totals, add
from trainer.monitoring.metric_writer import Writers
from trainer.optimizers.plateau import improves, update_plateau
from trainer.run import boundaries, hook, stopping
from trainer.run.boundaries import Asked, Boundary
from trainer.run.session import Session
from trainer.run.state import RunState


def is_due(session: Session, state: RunState) -> bool:
    """Whether this step is to be evaluated and was not; also after a restart."""
    config, plan = session.request.config, session.request.plan
    due = state.is_over(plan) or boundaries.evaluation_is_due(config, plan, state.step)
    return due and session.evaluate is not None and state.evaluated_step != state.step


def evaluate(
    session: Session, step: int, boundary: Boundary | None = None
) -> dict[str, float] | None:
    """Return loss and metrics over the whole split, or None if a signal came meanwhile.

    Args:
        session: with an evaluation split.
        step: of the state.
        boundary: where signals are asked for; None: there are none.
    """
    totals: Totals | None = None
    assert session.evaluate is not None  # noqa: S101 - the caller asks only where there is a split
    num_steps = session.request.plan.eval_steps
    for first in range(0, num_steps, MAX_STEPS_PER_CALL):
        failpoints.reach("evaluate.boundary")
        if first and boundary and boundary.ask(step) is Asked.STOP:
            return None
        totals = add(totals, session.evaluate(first, min(MAX_STEPS_PER_CALL, num_steps - first)))
    assert totals is not None  # noqa: S101 - a split is never empty
    return results(totals, session.task.metrics, num_steps)


def publish(
    session: Session, state: RunState, values: Mapping[str, float], writers: Writers
) -> None:
    """Write down an evaluation, and give it to the hook of the task."""
    writers.write(state.step, {f"eval/{name}": value for name, value in values.items()})
    with session.averages_in_place():
        writers.draw(state.step, session.pictures)
        hook.call(session, state.step, values, writers)


def results(
    sums: Totals, metrics: Mapping[str, keras.metrics.Metric], num_steps: int
) -> dict[str, float]:
    """Return the mean loss, the value of every metric, and means over steps of the rest.

    Args:
        sums: of `num_steps` steps.
        metrics: name -> metric whose state the sums hold.
        num_steps: steps that were added up.
    """
    weight = float(sums["weight"])
    values = {"loss": float(sums["loss"]) / weight if weight else float("nan")}
    for name, metric in metrics.items():
        state = [
            np.asarray(sums[f"metric/{name}/{i}"], np.float32) for i in range(len(metric.variables))
        ]
        values |= metric_states.values(name, metric, state)
    for name, value in sums.items():
        if name.startswith("gradient_norm/") or name == "loss_scale":
            values[name.replace("/main", "")] = float(value) / max(1, num_steps)
    if sums.get("skipped"):
        values["skipped_steps"] = float(sums["skipped"])
    return values


def take_note(config: TrainConfig, state: RunState, values: dict[str, float]) -> None:
    """Keep the numbers of an evaluation, and what plateau, keep-best and stop make of them."""
    state.evaluation, state.evaluated_step = values, state.step
    if not state.step:
        return  # how a run is watched must not change what it computes or keeps
    if rule := config.plateau.metric:
        arguments = {k: v for k, v in dataclasses.asdict(config.plateau).items() if k != "metric"}
        state.plateau = update_plateau(state.plateau, values[rule], **arguments)
    if config.keep_best_metric:
        value = values[config.keep_best_metric]
        if improves(state.best, value, 0.0, config.keep_best_mode):
            state.best, state.best_step = value, state.step
    stopping.take_note(state, values, config.stop)
