"""The steps themselves: calls of the inner loop, and the way back from numbers gone bad."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping

from trainer.checkpoint import Store
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo
from trainer.data.serving.input_pipeline import MAX_STEPS_PER_CALL
from trainer.engine.step_sums import StepSums, add
from trainer.monitoring.phases import Phases
from trainer.monitoring.profile import Profiler
from trainer.monitoring.step_times import StepTimes
from trainer.plan import Plan
from trainer.run import boundaries, nonfinite
from trainer.run.restore import restore
from trainer.run.session import Session
from trainer.run.state import Progress


@dataclasses.dataclass
class Training:
    """Moves a run from boundary to boundary.

    Attributes:
        progress: host state of the run.
        secs_per_step: of the last call, as all workers agree; 0 where nothing was measured, None
            before the first call, which compiles.
        num_steps: made by this process.
        times: of the calls of the inner loop.
    """

    config: TrainConfig
    info: DatasetInfo
    plan: Plan
    live: Session
    store: Store
    phases: Phases
    settle: Callable[[], None]
    """Returns when every worker has come here and no save is under way."""
    report_skipped: Callable[[Mapping[int, str]], None]
    profiler: Profiler
    progress: Progress = dataclasses.field(default_factory=Progress)
    secs_per_step: float | None = None
    num_steps: int = 0
    times: StepTimes = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.times = StepTimes(self.phases.ledger)

    @property
    def is_complete(self) -> bool:
        """Whether the last step was made."""
        return self.progress.step == self.plan.total_steps

    @property
    def examples_per_second(self) -> float:
        """Training examples per second of this process, compilation included."""
        seconds = self.seconds
        return self.num_steps * self.plan.batch_size / seconds if seconds else 0.0

    @property
    def seconds(self) -> float:
        """Of this process in the inner loop, compilation and waiting for data included."""
        return sum(map(self.phases.ledger.seconds, ("step", "compile", "data")))

    def advance(self) -> None:
        """Train up to the next boundary."""
        progress = self.progress
        if boundaries.ends_epoch(self.plan, progress.step):
            progress.totals = None
        most = boundaries.steps_per_call(self.secs_per_step, MAX_STEPS_PER_CALL)
        most = self.profiler.span.most(progress.step, most)
        num_steps = (
            boundaries.next_boundary(self.config, self.plan, progress.step, most) - progress.step
        )
        self._count(self._train(num_steps))

    def _train(self, num_steps: int) -> StepSums:
        """Make one call of the inner loop, and book its time."""
        is_first = self.secs_per_step is None
        bucket = "compile" if is_first else "step"
        started, waited = time.monotonic(), self.live.data_wait()
        step = self.progress.step
        with self.phases.phase(bucket), self.profiler.call(step, num_steps):
            sums = self.live.train(step, num_steps)
        self.phases.ledger.move(bucket, "data", self.live.data_wait() - waited)
        self.secs_per_step = 0.0 if is_first else (time.monotonic() - started) / num_steps
        if is_first:
            self.phases.started()
        else:
            self.times.add(self.secs_per_step, num_steps)
        self.num_steps += num_steps
        return sums

    def _count(self, sums: StepSums) -> None:
        progress, limit = self.progress, self.config.max_skipped_steps
        found = nonfinite.find_run(sums.each["skipped"], progress.skipped_in_row, limit)
        sums = sums.first(found.end or sums.num_steps)
        if skipped := nonfinite.reasons(sums, progress.step):
            self.report_skipped(skipped)
        progress.totals = add(progress.totals, sums)
        progress.skipped_in_row = found.in_row
        progress.step += sums.num_steps
        if found.end:
            self._roll_back()

    def _roll_back(self) -> None:
        """Take the weights of the last regular save, and go on after the steps that failed.

        Only regular saves count, so that a run that was stopped in between goes back to the same.
        """
        self.settle()
        failed, every = self.progress, self.config.checkpoint_every_steps
        first_bad = failed.step - failed.skipped_in_row
        restored = None
        if every and failed.rollbacks < self.config.max_rollbacks:
            with self.phases.phase("restore"):
                restored = restore(
                    self.live, self.store, self.config, self.info,
                    lambda s: s <= first_bad and s % every == 0,
                )  # fmt: skip
        if restored is None:
            raise nonfinite.diverged(failed, self.config)
        print(
            f"rolled back to the weights of step {restored.step}; going on at step {failed.step}",
            file=sys.stderr,
            flush=True,
        )
        restored.step, restored.rollbacks = failed.step, failed.rollbacks + 1
        restored.totals, restored.skipped_in_row = None, 0
        self.progress = restored
