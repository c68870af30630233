"""The boundaries of the inner loop: where they lie, what is due at one, and who stops there."""

import dataclasses
import enum
from collections.abc import Callable

from trainer import failpoints
from trainer.cluster.consensus import Consensus
from trainer.config import TrainConfig
from trainer.monitoring.phases import StepTimes
from trainer.monitoring.stop import StopSignal
from trainer.plan import Plan

CALL_SECS = 2.0
"""Longest call of the inner loop that is aimed at, so that a signal acts quickly."""
_STEPS_TO_MEASURE = 16


class Asked(enum.IntEnum):
    """What any worker was asked for; the largest counts for all.

    The two that end the run come with a save of their own.
    """

    NOTHING = 0
    SAVE = 1
    TIME_IS_UP = 2
    STOP = 3


@dataclasses.dataclass(frozen=True)
class Boundary:
    """What all workers settle at a boundary, in one small message.

    Attributes:
        stop: the signals of this process.
        consensus: of the workers.
        times: of the calls of the inner loop, which may differ from worker to worker.
        check_lock: refuses to go on where another run has taken the workdir over.
        max_secs: that the processes of the run may live, all together; 0: no limit.
        save_is_due: by the clock of this process.
    """

    stop: StopSignal
    consensus: Consensus
    times: StepTimes
    check_lock: Callable[[], None]
    max_secs: float = 0.0
    save_is_due: Callable[[], bool] = lambda: False

    def ask(self, step: int) -> Asked:
        """Return what a signal, or a clock, asked any worker for: the same on all of them.

        They agree on the time of a step as well: the next call has to be as long on every worker.
        """
        failpoints.reach("loop.boundary")
        times, phases = self.times, self.times.phases
        phases.ledger.beat(step)
        asked, secs = self._asked_here(), times.secs_per_step
        with phases.phase("peers"):
            asked_of_all, agreed = self.consensus.at_boundary(stop=asked, secs_per_step=secs or 0.0)
        times.secs_per_step = None if secs is None else agreed
        return Asked(asked_of_all)

    def _asked_here(self) -> Asked:
        if self.stop.requested():
            return Asked.STOP
        is_up = 0 < self.max_secs <= self.times.phases.ledger.lived_by_all()
        if is_up:
            return Asked.TIME_IS_UP
        return Asked.SAVE if self.save_is_due() else Asked.NOTHING


def next_boundary(config: TrainConfig, plan: Plan, step: int, max_steps: int) -> int:
    """Return the first step after `step` at which something is due, at most `max_steps` away."""
    boundaries = [plan.total_steps, plan.epoch_end(step), step + max_steps]
    every = (
        config.log_every_steps,
        config.eval_every_steps,
        config.checkpoint_every_steps,
        config.digest_every_steps,
    )
    boundaries += [(step // n + 1) * n for n in every if n]
    return min(boundaries)


def log_is_due(config: TrainConfig, plan: Plan, step: int) -> bool:
    """Whether training metrics are written: at intervals, ends of epochs, and the last step."""
    return step > 0 and (step % config.log_every_steps == 0 or ends_epoch(plan, step))


def evaluation_is_due(config: TrainConfig, plan: Plan, step: int) -> bool:
    """Whether to evaluate: at intervals or, without, ends of epochs; and at the last step."""
    if not step:
        return config.eval_before_training
    every = config.eval_every_steps
    return step == plan.total_steps or (step % every == 0 if every else ends_epoch(plan, step))


def digest_is_due(config: TrainConfig, plan: Plan, step: int) -> bool:
    """Whether the replicas are compared: at intervals, before regular saves, and at the end."""
    if not (config.digest_every_steps and step):
        return False
    every = (config.digest_every_steps, config.checkpoint_every_steps)
    return step == plan.total_steps or any(n and step % n == 0 for n in every)


def ends_epoch(plan: Plan, step: int) -> bool:
    """Whether an epoch, or the run, is complete after `step` updates."""
    return step > 0 and step in (plan.epoch_end(step - 1), plan.total_steps)


def steps_per_call(secs_per_step: float | None, most: int) -> int:
    """Return how many steps a call may take.

    Args:
        secs_per_step: as all workers agree; 0 where nothing was measured, None before the first
            call, which compiles and is kept short.
        most: upper bound.
    """
    if secs_per_step is None:
        return 1
    if secs_per_step == 0:
        return min(_STEPS_TO_MEASURE, most)
    return max(1, min(most, int(CALL_SECS / secs_per_step)))
