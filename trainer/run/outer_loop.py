"""The outer loop: train from boundary to boundary; log, evaluate, save and stop there."""

import dataclasses
from collections.abc import Callable

from trainer import failpoints
from trainer.cluster.consensus import Consensus
from trainer.config import TrainConfig
from trainer.monitoring.metric_writer import Writers
from trainer.monitoring.stop import StopSignal
from trainer.report.samples import Pictures
from trainer.run import boundaries, evaluation, step_report
from trainer.run.results import results
from trainer.run.saves import Saves
from trainer.run.state import Progress
from trainer.run.training import Training


@dataclasses.dataclass
class OuterLoop:
    """Everything that has an effect happens here, at a boundary of the inner loop.

    What was due at a step and was cut off by a signal is still due after a restart.
    """

    config: TrainConfig
    training: Training
    saves: Saves
    writers: Writers
    consensus: Consensus
    stop: StopSignal
    samples: Callable[[], Pictures]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for a process that starts again."""
        progress = self.training.progress
        return self.training.is_complete and not self._evaluation_is_due(progress)

    def run(self) -> None:
        """Go on to the last step, or until a signal came; then save."""
        while not self._asked_to_stop():
            self._log_if_due()
            self._evaluate_if_due()
            self.saves.save_if_due()
            if self.training.is_complete:
                break
            if not self._evaluation_is_due(self.training.progress):
                self.training.advance()
                self._show_progress()
                self._report_if_traced()
        failpoints.reach("loop.before_last_save")
        self.saves.save_last()

    def _asked_to_stop(self) -> bool:
        """Whether a signal reached any worker; all of them get the same answer."""
        failpoints.reach("loop.boundary")
        training = self.training
        training.phases.ledger.beat(training.progress.step)
        asked, secs = self.stop.requested(), training.secs_per_step
        with training.phases.phase("peers"):
            stopped, agreed = self.consensus.at_boundary(stop=asked, secs_per_step=secs or 0.0)
        training.secs_per_step = None if secs is None else agreed
        return stopped

    def _log_if_due(self) -> None:
        training, progress = self.training, self.training.progress
        due = boundaries.log_is_due(self.config, training.plan, progress.step)
        if not due or progress.logged_step == progress.step or progress.totals is None:
            return
        steps = int(progress.totals["steps"])
        progress.train = results(progress.totals, training.live.task.metrics, steps)
        progress.logged_step = progress.step
        named = {f"train/{name}": value for name, value in progress.train.items()}
        named["learning_rate"] = float(training.live.task.optimizers["main"].learning_rate)
        named["epoch"] = training.plan.epochs_done(progress.step)
        named["examples_per_second"] = training.examples_per_second
        named |= {f"time/{name}": value for name, value in self._timed().items()}
        self.writers.write(progress.step, named)

    def _timed(self) -> dict[str, float]:
        rate = self.training.examples_per_second / self.training.live.strategy.num_replicas_in_sync
        return {"examples_per_second_per_replica": rate, **self.training.times.read()}

    def _report_if_traced(self) -> None:
        if self.training.profiler.has_ended():
            report = step_report.step_report(self.training)
            step = self.training.progress.step
            self.writers.write(step, {f"profile/{name}": v for name, v in report.items()})

    def _show_progress(self) -> None:
        training, totals = self.training, self.training.progress.totals
        if totals is not None and totals["weight"]:
            loss = float(totals["loss"] / totals["weight"])
            rate = training.examples_per_second / training.plan.batch_size
            self.writers.progress(training.progress.step, loss, rate)

    def _evaluation_is_due(self, progress: Progress) -> bool:
        due = boundaries.evaluation_is_due(self.config, self.training.plan, progress.step)
        has_split = self.training.live.evaluate is not None
        return due and has_split and progress.evaluated_step != progress.step

    def _evaluate_if_due(self) -> None:
        training, progress = self.training, self.training.progress
        if not self._evaluation_is_due(progress):
            return
        with training.phases.phase("evaluate"):
            values = evaluation.evaluate(training.live, training.plan, self._asked_to_stop)
        if values is None:
            return
        evaluation.take_note(self.config, progress, values)
        training.live.rate_scale.assign(progress.plateau.scale)
        self.writers.write(progress.step, {f"eval/{name}": v for name, v in values.items()})
        self.writers.draw(progress.step, self.samples)
