"""Early stop: the end of a run by a metric that no longer improves, or by `stop.max_hours`.

Both are part of the state, so that a run ends at the same step after any restart. What is done at a
step only because it is the last one is not: an extended run continues from the state before it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.config import StopConfig
from trainer.optimizers.plateau import improves
from trainer.plan import Plan
from trainer.run.state import BY_METRIC, BY_TIME, RunState, StopState


def count(state: StopState, value: float, rule: StopConfig) -> StopState:
    """Return the state after one more evaluation; NaN is no improvement."""
    if improves(state.best, value, rule.min_delta, rule.mode):
        return StopState(value, 0)
    return dataclasses.replace(state, bad_evals=state.bad_evals + 1)


def take_note(state: RunState, values: Mapping[str, float], rule: StopConfig) -> None:
    """Count an evaluation, and end the run where it was one too many."""
    if rule.metric and state.step > rule.after:
        state.stop = count(state.stop, values[rule.metric], rule)
        # Where no step is left it is over already; with more of them, this may not be due here.
        if state.stop.bad_evals >= rule.patience and state.before_end is None:
            state.ended = BY_METRIC


def note_end(state: RunState, plan: Plan, *, time_is_up: bool) -> None:
    """Where no step is left, keep the state as it is before all that is done for the last one."""
    is_over = state.is_over(plan)
    if (time_is_up or is_over) and state.before_end is None:
        state.before_end = state.to_plain()
    if time_is_up and not is_over:
        state.ended = BY_TIME


def going_on(state: RunState, plan: Plan, old: Mapping[str, Any], rule: StopConfig) -> RunState:
    """Return the state from which a run goes on that had ended, and may last longer now.

    Args:
        state: as it was saved.
        plan: of the run as it is to be now.
        old: the config that the state was saved under, plain.
        rule: of the config now.
    """
    had_hours = old.get("stop", {}).get("max_hours", 0.0)
    may_go_on = {
        "": state.step != plan.total_steps,
        BY_TIME: rule.max_hours != had_hours,
        BY_METRIC: False,
    }[state.ended]
    if state.before_end is None or not may_go_on:
        return state
    before = RunState.from_plain(state.before_end)
    before.changes = state.changes
    return before
