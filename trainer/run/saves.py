"""When a run is saved, and what a save says about it."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from trainer.checkpoint import Saver
from trainer.config import TrainConfig
from trainer.config.conversion import to_plain
from trainer.monitoring.goodput import young_interval
from trainer.run.training import Training

LEAST_SECS = 10.0
"""Of an interval that is worked out; also until the first save has shown what one costs."""


@dataclasses.dataclass
class Saves:
    """The saves of a run; only the chief writes.

    Attributes:
        clock: monotonic seconds.
        saved: what was last written or restored, but for the time it took.
        is_durable: whether that was read back.
        saved_at: when, by the clock.
    """

    config: TrainConfig
    training: Training
    saver: Saver
    is_chief: bool
    clock: Callable[[], float] = time.monotonic
    saved: dict[str, Any] | None = None
    is_durable: bool = False
    saved_at: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.saved_at = self.clock()

    @property
    def every_secs(self) -> float:
        """Seconds between saves; 0: saves do not follow the clock."""
        asked = self.config.checkpoint_every_secs
        if asked != "auto":
            return asked
        mtbf = self.training.phases.ledger.mean_time_between_failures
        return max(LEAST_SECS, young_interval(self.saver.save_secs, mtbf))

    def note_restored(self) -> None:
        """Take what the run goes on from as saved: it is whole, and must not be written over."""
        self.saved, self.is_durable = self._what(), True

    def save_if_due(self) -> None:
        """Save in the background what must not be lost, and notice a save that failed."""
        self.saver.raise_if_failed()
        step = self.training.progress.step
        if not self.is_chief or not step or self.training.is_complete:
            return
        every = self.config.checkpoint_every_steps
        is_best = self.training.progress.best_step == step
        if (every and step % every == 0) or is_best or self._time_has_come():
            self._save(self.saver.start)

    def save_last(self) -> None:
        """Save at once and verified; returns when the state is durable."""
        if self.is_chief:
            self._save(self.saver.finish, durable=True)

    def _save(self, save: Any, *, durable: bool = False) -> None:
        what = self._what()
        if what == self.saved and (self.is_durable or not durable):
            return
        seconds = self.training.phases.ledger.report()["total_seconds"]
        with self.training.phases.phase("save"):
            step, state = self.training.progress.step, self.training.live.read_state()
            save(step, state, {**what, "seconds": seconds}, self._also_keep())
        self.saved, self.is_durable, self.saved_at = what, durable, self.clock()

    def _also_keep(self) -> list[int]:
        """Return the regular saves that a rollback may need, and the best."""
        progress, every = self.training.progress, self.config.checkpoint_every_steps
        good = progress.step - progress.skipped_in_row
        regular = [step // every * every for step in (progress.step, good)] if every else []
        return [step for step in (*regular, progress.best_step) if step]

    def _time_has_come(self) -> bool:
        every = self.every_secs
        return 0 < every <= self.clock() - self.saved_at

    def _what(self) -> dict[str, Any]:
        return {
            "config": to_plain(self.config),
            "data": self.training.info.fingerprint(),
            "progress": self.training.progress.to_plain(),
        }
