"""Reads the requested checkpoint of a run: the newest, the best, or that of a step."""

import tempfile
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint
from trainer.config import checks
from trainer.run.workdir import Workdir


def read(folder: Workdir, which: str, flag: str) -> tuple[dict[str, Any], checkpoint.Meta]:
    """Return the variables and the rest of a checkpoint.

    Args:
        folder: of the run, which may still go on.
        which: `newest`, `best` or a step.
        flag: or field, by which it was asked for, for the message.

    Raises:
        RunError: BAD_FLAG or BAD_CONFIG where it names none, or there is none; BAD_DATA where none
            is whole.
    """
    code = ExitCode.BAD_CONFIG if flag.startswith("config.") else ExitCode.BAD_FLAG
    if not checks.names_checkpoint(which):
        raise RunError(code, f"{flag}={which!r} is neither newest, best nor a step")
    with tempfile.TemporaryDirectory(prefix="lockstep-") as copies:
        here = Path(copies) if folder.url else folder.path / "checkpoints"
        store = checkpoint.Store(here, folder.checkpoints_url)
        path, _ = store.newest_valid()
        if path is None:
            raise RunError(code, f"{folder.shown} holds no checkpoint yet; train at least one step")
        if which != "newest":
            best = checkpoint.read_meta(path).progress.get("best_step") or -1  # 0: none is kept
            step = best if which == "best" else int(which)
            path = store.newest_valid(lambda found: found == step)[0]
        if path is None:
            steps = ", ".join(map(str, store.steps()))
            why = "; a best one is kept with config.keep_best_metric" * (which == "best")
            raise RunError(code, f"{flag}={which}: {folder.shown} holds steps {steps}{why}")
        return checkpoint.read(path)
