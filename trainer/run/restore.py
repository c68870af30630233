"""From a checkpoint back to a run."""

import sys
from collections.abc import Callable

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint, failpoints
from trainer.config import TrainConfig, essential_difference
from trainer.config.conversion import to_plain
from trainer.data.info import DatasetInfo
from trainer.run.session import Session
from trainer.run.state import Progress


def restore(
    live: Session,
    store: checkpoint.Store,
    config: TrainConfig,
    info: DatasetInfo,
    usable: Callable[[int], bool] = lambda _: True,
) -> Progress | None:
    """Bring back the newest valid checkpoint; returns its progress, or None if there is none.

    Args:
        live: whose state is written.
        store: where checkpoints are.
        config: of the run, which must be that of the checkpoint in all that matters.
        info: of the data, which must be that of the checkpoint.
        usable: which steps may be gone back to.

    Raises:
        RunError: BAD_DATA where all are damaged, BAD_CONFIG where one does not fit.
    """
    failpoints.reach("restore.before")
    path, skipped = store.newest_valid(usable)
    for reason in skipped:
        print(f"skipped a damaged checkpoint: {reason}", file=sys.stderr, flush=True)
    if path is None:
        return None
    state, meta = checkpoint.read(path)
    checkpoint.match(state, live.expected(), str(path))
    if changed := essential_difference(meta["config"], to_plain(config)):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{path} was written with another config ({'; '.join(changed)}); use that config, or "
            "another --workdir",
        )
    if meta["data"] != info.fingerprint():
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{path} was trained on other data (fingerprint {meta['data'][:16]}) than "
            f"config.dataset is now (fingerprint {info.fingerprint()[:16]}): {info.source}; bring "
            "back the same files, or use another --workdir",
        )
    live.write_state(state)
    progress = Progress.from_plain(meta["progress"])
    live.rate_scale.assign(progress.plateau.scale)
    print(f"restored {path.name}", file=sys.stderr, flush=True)
    return progress
