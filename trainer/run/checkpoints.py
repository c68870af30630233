"""The checkpoints of a run: when one is written, what it says, and the way back from one."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from common.listing import listed
from trainer import checkpoint, failpoints, lineage, version
from trainer.config import essential_difference
from trainer.config.conversion import to_plain
from trainer.lineage import Change, Code
from trainer.monitoring.goodput import young_interval
from trainer.monitoring.phases import Phases
from trainer.run import longer, stopping
from trainer.run.request import Request
from trainer.run.session import Session
from trainer.run.state import RunState
from trainer.run.workdir import Workdir

Save = Callable[[checkpoint.State, checkpoint.Meta, Iterable[int]], None]
_SHOWN = 8
LEAST_SECS = 10.0
"""Of an interval that is worked out; also until the first save has shown what one costs."""


@dataclasses.dataclass
class Checkpoints:
    """Saves a run and restores it. Every worker reads; only the chief writes.

    Attributes:
        request: of the run.
        saver: writes in the background, or at once.
        phases: of the process.
        code: of this process.
        clock: monotonic seconds.
        num_saves: of this process.
        of_any: whether any worker asks for a save. Where state is sharded, each has to take part.
    """

    request: Request
    saver: checkpoint.Saver
    phases: Phases
    code: Code = dataclasses.field(default_factory=Code)
    clock: Callable[[], float] = time.monotonic
    num_saves: int = 0
    of_any: Callable[[bool], bool] = bool
    _saved: checkpoint.Meta | None = None
    """What was last written or restored."""
    _is_durable: bool = False
    """Whether that was read back."""
    _saved_at: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._saved_at = self.clock()

    @property
    def every_secs(self) -> float:
        """Seconds between saves; 0: saves do not follow the clock."""
        asked = self.request.config.checkpoint_every_secs
        if asked != "auto":
            return asked
        mtbf = self.phases.ledger.mean_time_between_failures
        return max(LEAST_SECS, young_interval(self.saver.save_secs, mtbf))

    def time_has_come(self) -> bool:
        """Return whether a save is due by the clock of the chief."""
        every = self.every_secs
        return self.request.is_chief and 0 < every <= self.clock() - self._saved_at

    def counts(self) -> dict[str, float]:
        """Return what has happened to the run: "saves", "restarts", "goodput", "seconds/BUCKET"."""
        told = self.phases.ledger.report()
        seconds = {f"seconds/{name}": secs for name, secs in told["seconds"].items()}
        restarts = told["attempts"] - 1
        return {
            "saves": self.num_saves,
            "restarts": restarts,
            "goodput": told["goodput"],
            **seconds,
        }

    def final_step(self) -> int:
        """Return the last step of which no restart writes a number again; -1: there is none."""
        if (meta := self.saver.durable) is None:
            return -1
        # At the step of the checkpoint itself more may follow: what a signal cut off, the end.
        return min(RunState.from_plain(meta.progress).noted_step, meta.step - 1)

    def restore(
        self, session: Session, usable: Callable[[int], bool] = lambda _: True
    ) -> RunState | None:
        """Bring back the newest valid checkpoint; None if there is none.

        Args:
            session: whose variables are written.
            usable: which steps may be gone back to.

        Raises:
            RunError: BAD_DATA where all are damaged, BAD_CONFIG where one does not fit.
        """
        failpoints.reach("restore.before")
        path, skipped = self.saver.store.newest_valid(usable)
        for reason in skipped:
            print(f"skipped a damaged checkpoint: {reason}", file=sys.stderr, flush=True)
        if path is None:
            return None
        variables, meta = checkpoint.read(path)
        # All checks come before the first write: what is refused leaves nothing half restored.
        checkpoint.match(variables, session.task.state(), str(path))
        self._check_meta(meta, path)
        config = self.request.config
        state = RunState.from_plain(meta.progress)
        state = stopping.going_on(state, self.request.plan, meta.config, config.stop)
        state.changes += self._changes(meta, path)
        session.write_state(variables)
        session.rate_scale.assign(state.plateau.scale)
        # It is whole, and must not be written over by a save of the same.
        self._saved, self._is_durable, self.saver.durable = self._meta(state), True, meta
        print(f"restored {path.name}", file=sys.stderr, flush=True)
        return state

    def save_if_due(self, session: Session, state: RunState, *, by_time: bool) -> None:
        """Save in the background what must not be lost, and notice a save that failed.

        Args:
            session: whose variables are saved.
            state: of the run.
            by_time: whether a save by the clock is due, as all workers decided.
        """
        self.saver.raise_if_failed()
        is_over = state.is_over(self.request.plan)  # the last save is coming
        # Step 0 is what any start makes, or saved: nothing is lost with it.
        if not state.step or is_over:
            return
        every = self.request.config.checkpoint_every_steps
        is_best = state.best_step == state.step
        is_due = (every and state.step % every == 0) or is_best or by_time
        self._save(session, state, self.saver.start, is_due=bool(is_due))

    def save_last(self, session: Session, state: RunState) -> None:
        """Save at once and verified; returns when the state is durable."""
        self._save(session, state, self.saver.finish, is_due=True, durable=True)

    def _save(
        self, session: Session, state: RunState, save: Save, *, is_due: bool, durable: bool = False
    ) -> None:
        is_chief, meta = self.request.is_chief, self._meta(state) if is_due else None
        is_there = meta == self._saved and (self._is_durable or not durable)
        if not self.of_any(is_chief and is_due and not is_there):
            return
        with self.phases.phase("save"):
            # A copy on the host: what the thread writes, no later step changes.
            copy = session.read_state()
            if not is_chief or meta is None:
                return
            save(copy, meta, self._also_keep(state))
        self._saved, self._is_durable, self._saved_at = meta, durable, self.clock()
        self.num_saves += 1

    def _also_keep(self, state: RunState) -> list[int]:
        """Return the regular saves that a rollback may need, and the best."""
        # The newest regular save may lie in a bad stretch: keep the one before it too.
        every = self.request.config.checkpoint_every_steps
        good = state.step - state.skipped_in_row
        regular = [step // every * every for step in (state.step, good)] if every else []
        # With more steps to make, the best is that of before the last evaluation.
        best = [state.best_step, (state.before_end or {}).get("best_step", 0)]
        return [step for step in (*regular, *best) if step]

    def _meta(self, state: RunState) -> checkpoint.Meta:
        return checkpoint.Meta(
            step=state.step,
            config=to_plain(self.request.config),
            data=self.request.info.fingerprint(),
            files=self.request.info.contents(),
            progress=state.to_plain(),
            code=self.code.files(),
            kernels=version.kernels(),
            seconds=self.phases.ledger.report()["total_seconds"],
        )

    def _changes(self, meta: checkpoint.Meta, path: Path) -> list[Change]:
        """Return what is not as it was when the checkpoint was written; each worker looks itself.

        Raises:
            RunError: BAD_CONFIG for other code that was not accepted.
        """
        changed = self.code.changed(meta.code)
        if changed and not self.request.accept_code_change:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{path} was written by other code (changed since: {listed(changed, _SHOWN)}); "
                "bring that code back, use another --workdir, or go on with "
                "--accept_code_change, which checkpoint, summary and report will say",
            )
        moved = lineage.differences(meta.kernels, version.kernels())
        found = (
            Change(meta.step, "code", tuple(changed)),
            Change(meta.step, "kernels", tuple(moved)),
        )
        changes = [change for change in found if change.names]
        if self.request.is_chief:
            lines = [] if meta.code else [f"{path.name} does not say by which code: not compared"]
            for line in (*lines, *changes):
                print(line, file=sys.stderr, flush=True)
        return changes

    def _check_meta(self, meta: checkpoint.Meta, path: Path) -> None:
        """Refuse the checkpoint of another config, of another length, or of other data."""
        if changed := essential_difference(dict(meta.config), to_plain(self.request.config)):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{path} was written with another config ({'; '.join(changed)}); use that config, "
                "or another --workdir",
            )
        longer.check(meta.config, self.request, str(path.parents[1]), meta.step)
        info = self.request.info
        if meta.data != info.fingerprint():
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{path} was trained on other data (fingerprint {meta.data[:16]}) than "
                f"config.dataset is now (fingerprint {info.fingerprint()[:16]}): {info.source}"
                f"{_changed_file(meta.files, info.contents())}; "
                "bring back the same files, or use another --workdir",
            )


def _changed_file(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say which file holds something else than it did; "" where none of the same name does."""
    for name, content in now.items():
        if before.get(name, content) != content:
            return f"; {name} held {before[name]} and holds {content}"
    return ""


def open_checkpoints(
    request: Request, folder: Workdir, phases: Phases, before_save: Callable[[], None]
) -> Checkpoints:
    """Return the checkpoints in a workdir; each save mirrors the rest of the workdir as well.

    Args:
        request: of the run.
        folder: where they are.
        phases: of the process.
        before_save: may refuse a save, in the thread that makes it.
    """
    store = checkpoint.Store(
        folder.path / "checkpoints", folder.checkpoints_url, request.config.keep_checkpoints
    )
    saver = checkpoint.Saver(store, phases.watchdog, before_save, folder.publish)
    return Checkpoints(request, saver, phases)
