"""The steps of a run: one call of the inner loop, what it left out, and the way back.

A step is left out everywhere, for a number that was not finite or for a loss spike.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.cluster.consensus import Consensus
from trainer.config import TrainConfig
from trainer.data.serving import order
from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
from trainer.engine.step_sums import StepSums, add
from trainer.monitoring.phases import StepTimes
from trainer.monitoring.profile import Profiler
from trainer.run import boundaries, nan_hunt
from trainer.run.checkpoints import Checkpoints
from trainer.run.request import Request
from trainer.run.session import Session
from trainer.run.state import RunState
from trainer.storage.failures import local_io

_SHOWN = 8
_WAYS_OUT = (
    "lower config.optimizer.learning_rate, set config.optimizer.clip_norm, or look at the examples "
    "in skipped.jsonl"
)


@dataclasses.dataclass(frozen=True)
class Skipped:
    """What a call of the inner loop left out.

    Attributes:
        reasons: step -> why.
        too_many: whether so many in a row that the run has to go back.
    """

    reasons: Mapping[int, str]
    too_many: bool


@dataclasses.dataclass(frozen=True)
class Streak:
    """Skipped steps one after another.

    Attributes:
        end: steps of the call up to and including the one that filled the budget, or None.
        in_row: skipped steps at that place, or at the end of the call.
    """

    end: int | None
    in_row: int


def advance(session: Session, state: RunState, times: StepTimes, profiler: Profiler) -> Skipped:
    """Train up to the next boundary, and count in `state` what was made.

    Returns:
        What was left out. Where that is too many, `state` ends at the step that filled the budget.
    """
    config, plan = session.request.config, session.request.plan
    if boundaries.ends_epoch(plan, state.step):
        state.totals = None  # only now: until here the log could still want those of the epoch
    # Bounds: a call is short, so that a signal acts; it does not run over what is traced, nor over
    # the end of a replay; and it ends where something is due.
    most = boundaries.steps_per_call(times.secs_per_step, MAX_STEPS_PER_CALL)
    most = profiler.span.most(state.step, most)
    if until := session.request.until:
        most = min(most, until - state.step)
    num_steps = boundaries.next_boundary(config, plan, state.step, most) - state.step
    hunts = session.request.debug_nan
    with times.call(num_steps, session.train.waited), profiler.call(state.step, num_steps):
        make = functools.partial(nan_hunt.train, session) if hunts else session.train
        sums = make(state.step, num_steps)
    streak = find_streak(sums.each["skipped"], state.skipped_in_row, config.max_skipped_steps)
    # What the call made after the budget was full is made again, from the weights of a checkpoint.
    sums = sums.first(streak.end or sums.num_steps)
    skipped = Skipped(reasons(sums, state.step), too_many=streak.end is not None)
    state.totals = add(state.totals, sums)
    state.skipped_in_row = streak.in_row
    made = [int(i) for i in (sums.each["skipped"] == 0).nonzero()[0]]
    if made:
        state.updated_step = state.step + made[-1] + 1
    state.step += sums.num_steps
    return skipped


def roll_back(
    session: Session, failed: RunState, checkpoints: Checkpoints, consensus: Consensus
) -> RunState:
    """Take the weights of the last regular save, and go on after the steps that failed.

    Only regular saves count, so that a run that was stopped in between goes back to the same.

    Raises:
        RunError: BUG where no such save is left, or the rollbacks are spent.
    """
    # No worker may read while the chief still writes.
    checkpoints.saver.wait()
    consensus.wait_for_all()
    config = session.request.config
    every, first_bad = config.checkpoint_every_steps, failed.step - failed.skipped_in_row
    restored = None
    if every and failed.rollbacks < config.max_rollbacks:
        with checkpoints.phases.phase("restore"):
            restored = checkpoints.restore(session, lambda s: s <= first_bad and s % every == 0)
    if restored is None:
        raise diverged(failed, config)
    print(
        f"rolled back to the weights of step {restored.step}; going on at step {failed.step}",
        file=sys.stderr,
        flush=True,
    )
    # Not back in the data: the examples that failed would come again.
    restored.step, restored.rollbacks = failed.step, failed.rollbacks + 1
    restored.totals, restored.skipped_in_row = None, 0
    # What was noted of the steps in between stays noted: a restart must not drop those lines.
    restored.logged_step, restored.evaluated_step = failed.logged_step, failed.evaluated_step
    restored.digested_step = failed.digested_step
    return restored


def find_streak(skipped: np.ndarray, in_row: int, limit: int) -> Streak:
    """Find the first place where `limit` steps in a row were skipped.

    Args:
        skipped: float32[n], 1 where a step of the call was skipped.
        in_row: skipped steps right before the call.
        limit: steps in a row that are too many; 0 counts as 1.
    """
    for index, is_skipped in enumerate(skipped):
        in_row = in_row + 1 if is_skipped else 0
        if in_row >= max(1, limit):
            return Streak(index + 1, in_row)
    return Streak(None, in_row)


def reasons(sums: StepSums, first_step: int) -> dict[int, str]:
    """Return step -> why it was left out, of the steps of `sums`, which begin at `first_step`."""
    spikes = sums.each.get("spike", np.zeros(sums.num_steps))
    return {
        first_step + int(index): "loss spike" if spikes[index] else "loss or gradient not finite"
        for index in sums.each["skipped"].nonzero()[0]
    }


def report(reasons: Mapping[int, str], request: Request, workdir: Path) -> None:
    """Print the examples of skipped steps, and append all of them to `skipped.jsonl`.

    Args:
        reasons: step -> why it was left out.
        request: of the run.
        workdir: folder of the file.
    """
    config, plan = request.config, request.plan
    window = config.dataset.shuffle_window
    served = order.training_order(request.info.train, seed=config.seed, window=window)
    path = workdir / "skipped.jsonl"
    with local_io(path, "--workdir"), path.open("a", encoding="utf-8") as file:
        for step, reason in reasons.items():
            examples = order.ids_of_step(served, step, plan.batch_size)
            file.write(json.dumps({"step": step, "reason": reason, "examples": examples}) + "\n")
            shown = ", ".join(map(str, examples[:_SHOWN]))
            print(
                f"step {step}: {reason}, update skipped; examples {shown}"
                f"{', ...' if len(examples) > _SHOWN else ''} (all in skipped.jsonl)",
                file=sys.stderr,
                flush=True,
            )


def refuse_idle(state: RunState, config: TrainConfig) -> None:
    """Refuse to call a run done that has made no update in its last logging window, or in all.

    Raises:
        RunError: BUG; too few steps in a row for a rollback are no success either.
    """
    window = min(state.step, config.log_every_steps)
    if 0 < window <= state.step - state.updated_step:
        raise RunError(
            ExitCode.BUG,
            f"every update after step {state.updated_step} of {state.step} was left out: loss, "
            f"gradient or batch statistics were not finite{_or_spike(config)}; look for log(0), "
            "0/0 and too large a learning rate, and at the examples named above (skipped.jsonl)",
        )


def diverged(state: RunState, config: TrainConfig) -> RunError:
    """Return the end of a run whose rollbacks are spent."""
    return RunError(
        ExitCode.BUG,
        f"loss or gradient not finite{_or_spike(config)}{',' * bool(config.loss_spike)} in "
        f"{state.skipped_in_row} steps in a row up to step "
        f"{state.step}, after {state.rollbacks} rollbacks (config.max_rollbacks="
        f"{config.max_rollbacks}, config.checkpoint_every_steps={config.checkpoint_every_steps}); "
        f"{_WAYS_OUT}",
    )


def _or_spike(config: TrainConfig) -> str:
    return ", or a loss spike" if config.loss_spike else ""
