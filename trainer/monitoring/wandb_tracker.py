"""One run of Weights & Biases for a workdir, over all its restarts."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from trainer.monitoring import attachments, wandb_files
from trainer.monitoring.trackers import is_over, numbers, run_id
from trainer.report.run_files import by_step, read_lines

attachments.require("wandb")
_FLUSH_SECS = 1.0


class Wandb:
    """A tracker; needs the package `wandb`.

    Every process resumes the run of one id, after the last step that the service holds. With
    WANDB_MODE=offline each writes a folder below `wandb` in the workdir; `wandb sync` joins them.

    Args:
        workdir: folder of the run.
        project: its name; "": that of the environment, or "uncategorized".
        entity: user or team; "": the default one.
        name: of the W&B run; "": that of the workdir.

    Raises:
        wandb.errors.Error: the service does not answer, or refuses.
    """

    def __init__(self, workdir: Path, project: str = "", entity: str = "", name: str = "") -> None:
        import wandb

        self._workdir, run = workdir, run_id(workdir)
        held = wandb_files.last_step(workdir / "wandb", run)
        self._run = wandb.init(
            project=project or None,
            entity=entity or None,
            name=name or workdir.name,
            id=run,
            resume="allow",
            dir=workdir,
            config=json.loads((workdir / "config.json").read_text()),
            allow_val_change=True,
            settings=wandb.Settings(
                silent=True,
                console="off",  # what the trainer prints is neither taken nor added to
                init_timeout=30,
                login_timeout=5,
                disable_git=True,
                x_transaction_log_flush_interval=_FLUSH_SECS,
            ),
        )
        self._held = held if self._run.offline else self._run.step - 1
        self._is_caught_up = False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record a step as one row."""
        self._catch_up(step)
        self._log(step, values)

    def close(self) -> None:
        """Attach files and pictures, record the digests, and wait until all of it was taken."""
        if is_over(self._workdir):
            self._catch_up(None)
        for path in attachments.files(self._workdir):
            # A copy: W&B would warn of a link, which shows what a later process writes.
            copy = Path(self._run.dir) / path.relative_to(self._workdir)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            self._run.save(copy, base_path=self._run.dir, policy="now")
        facts = attachments.ended(self._workdir)
        self._run.summary.update({f"lockstep/{name}": value for name, value in facts.items()})
        self._run.finish(exit_code=0 if facts["status"] else 1)

    def _catch_up(self, until: int | None) -> None:
        """Record the steps before one that were sent and lost: W&B takes them, then keeps them."""
        if self._is_caught_up:
            return
        self._is_caught_up = True
        for step, line in by_step(read_lines(self._workdir / "metrics.jsonl")).items():
            if until is None or step < until:
                self._log(step, numbers(line))

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        if step > self._held and values:
            # Committed: the row would else wait for the next step.
            self._run.log(dict(values), step=step, commit=True)
            self._held = step
