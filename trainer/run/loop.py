"""A run, top to bottom: open, restore, train, leave."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint, failpoints
from trainer.cluster import peers
from trainer.cluster.consensus import Consensus
from trainer.cluster.strategy import Placement
from trainer.config import TrainConfig
from trainer.data.info import DatasetInfo
from trainer.monitoring import metric_writer
from trainer.monitoring.phases import Phases
from trainer.monitoring.profile import Profiler
from trainer.monitoring.stop import StopSignal, stopped
from trainer.plan import Plan
from trainer.report import write as page
from trainer.report.samples import make_samples
from trainer.run import nonfinite, session, summary, workdir
from trainer.run.outer_loop import OuterLoop
from trainer.run.restore import restore
from trainer.run.saves import Saves
from trainer.run.state import Progress
from trainer.run.training import Training


def run(
    config: TrainConfig,
    info: DatasetInfo,
    plan: Plan,
    placement: Placement,
    where: str,
    *,
    stop: StopSignal,
    phases: Phases,
) -> dict[str, Any]:
    """Train to the last step, or go on from the newest checkpoint in the workdir `where`.

    Returns:
        What `summary.json` says.

    Raises:
        RunError: with the exit code of the process.
    """
    if not placement.cluster.is_chief:
        # Its steps also wait for what the chief alone does: saves that wait for an upload.
        phases.watchdog.never_learn("step", "compile")
    with contextlib.ExitStack() as stack:
        run = _Run(config, info, plan, placement, stop, phases, stack)
        with phases.phase("start"):
            place = run.open(where)
            stop.defer()
        with phases.phase("restore"):
            progress = run.restore(place)
        phases.ledger.begin(progress.step)
        loop = run.make_loop(place, progress)
        loop.run()
        with phases.watchdog.watch("end"), phases.ledger.spend("save"):
            report = run.say_how_it_ended(place, loop)
        with phases.watchdog.watch("leave"), phases.ledger.spend("peers"):
            place.consensus.wait_for_all()
            peers.wait_until_gone(placement.cluster)
        if report is None:
            raise stopped(loop.training.progress.step, plan.total_steps, place.folder.shown)
        return report


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a run happens: its folder, its devices, its peers."""

    folder: workdir.Workdir
    store: checkpoint.Store
    live: session.Session
    consensus: Consensus


@dataclasses.dataclass(frozen=True)
class _Run:
    """The stages of a run; what they open is closed with `stack`, last first."""

    config: TrainConfig
    info: DatasetInfo
    plan: Plan
    placement: Placement
    stop: StopSignal
    phases: Phases
    stack: contextlib.ExitStack

    @property
    def is_chief(self) -> bool:
        return self.placement.cluster.is_chief

    def open(self, where: str) -> _Place:
        """Claim the workdir, then create the strategy and all on it."""
        folder = self.stack.enter_context(workdir.opened(where))
        is_first = folder.claim(self.config, is_chief=self.is_chief)
        if self.is_chief:
            self.phases.ledger.open(folder.path / "goodput.json")
            self.stack.callback(self.phases.ledger.write)
        failpoints.reach("strategy.before")
        try:
            live = session.open_session(self.config, self.info, self.plan, self.placement)
        except RunError as error:
            if self.is_chief and is_first and error.code is ExitCode.BAD_CONFIG:
                folder.release()  # so that the corrected config may use it
            raise
        keep = self.config.keep_checkpoints
        store = checkpoint.Store(folder.path / "checkpoints", folder.checkpoints_url, keep)
        return _Place(folder, store, live, Consensus(live.strategy, self.placement.cluster))

    def restore(self, place: _Place) -> Progress:
        """Bring back the newest checkpoint on all workers; then clear away what came after it."""
        restored = restore(place.live, place.store, self.config, self.info)
        progress = restored or Progress()
        place.consensus.same_step(progress.step)
        if self.is_chief:
            place.folder.rewind(progress.step if restored else -1)
            place.store.sweep()
        return progress

    def make_loop(self, place: _Place, progress: Progress) -> OuterLoop:
        """Open what is written to, and put the loop together."""
        saver = checkpoint.Saver(place.store, self.phases.watchdog, place.folder.publish)
        self.stack.callback(saver.close)
        writers = metric_writer.make_writers(
            place.folder.path, self.plan.total_steps, is_chief=self.is_chief
        )
        self.stack.callback(writers.close)
        training = self._training(place, saver, progress)
        saves = Saves(self.config, training, saver, self.is_chief)
        if progress.step:
            saves.note_restored()
        samples = make_samples(place.live.task)
        return OuterLoop(self.config, training, saves, writers, place.consensus, self.stop, samples)

    def say_how_it_ended(self, place: _Place, loop: OuterLoop) -> dict[str, Any] | None:
        """Write the summary of a complete run and return it; a run that was stopped has none."""
        report = summary.summarize(self.config, loop.training) if loop.is_done else None
        if self.is_chief and report is not None:
            failpoints.reach("loop.before_summary")
            summary.write(place.folder.path, report)
            loop.writers.write(self.plan.total_steps, summary.scalars(report))
            place.folder.publish()  # the run is done, whatever becomes of its page
            failpoints.reach("loop.before_report")
            stage = self.placement.stage
            drawn = page.write(place.folder.path, place.live.task, self.info, self.plan, stage)
            loop.writers.draw(self.plan.total_steps, lambda: drawn)
        if self.is_chief:
            place.folder.publish()
        return report

    def _training(self, place: _Place, saver: checkpoint.Saver, progress: Progress) -> Training:
        def settle() -> None:
            saver.wait()
            place.consensus.wait_for_all()

        def report_skipped(skipped: Mapping[int, str]) -> None:
            if self.is_chief:
                nonfinite.report(skipped, self.config, self.info, self.plan, place.folder.path)

        profiler = Profiler(self.placement.profile, place.folder.path / "tensorboard")
        self.stack.callback(profiler.close)
        return Training(
            self.config, self.info, self.plan, place.live, place.store, self.phases,
            settle, report_skipped, profiler, progress,
        )  # fmt: skip
