"""The runs below a folder or a bucket, and the state of each."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import storage
from trainer.config.conversion import difference
from trainer.report.page import flat
from trainer.report.run_files import RunFiles, read_run

_FILES = ("config.json", "metrics.jsonl", "summary.json", "goodput.json")
_ALIVE_SECS = {False: 120.0, True: 3600.0}
"""A run whose last sign of life is older has stopped; in a bucket (True) it is as old as a save."""


@dataclasses.dataclass(frozen=True)
class FoundRun:
    """A run and where it stands.

    Attributes:
        files: of the run; its name is its path below the folder.
        state: "done", "stopped_early", "running", "stopped", or "damaged" if its files cannot be
            read.
        step: that was reached.
        total_steps: of the run; None if unknown.
        metric: name and last value of what it is judged by, or None.
        examples_per_second: as it was last logged, or None.
        eta_secs: until the last step, of a running run; else None.
        parent: what its first weights were taken from; "" for none.
    """

    files: RunFiles
    state: str
    step: int
    total_steps: int | None
    metric: tuple[str, float] | None
    examples_per_second: float | None
    eta_secs: float | None
    parent: str


def find(where: str, copies: Path) -> list[FoundRun]:
    """Return all runs below `where`, a folder or URL; those of a bucket are copied to `copies`.

    Raises:
        RunError: BAD_FLAG where there is none.
    """
    is_remote = storage.is_remote(where)
    if is_remote:
        folder = copies
        _bring(where.rstrip("/"), copies)
    else:
        folder = Path(where)
    found = [
        _found(path.parent, folder, _ALIVE_SECS[is_remote])
        for path in sorted(folder.rglob("config.json"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise RunError(ExitCode.BAD_FLAG, f"{where} holds no run: no config.json below it")
    return found


def swept(runs: Sequence[FoundRun]) -> list[str]:
    """Name the config fields in which the runs are not all the same."""
    configs = [run.files.config for run in runs]
    return sorted(
        {line.partition(":")[0] for c in configs[1:] for line in difference(configs[0], c)}
    )


def value_of(run: FoundRun, field: str) -> Any:
    """Return the value of a config field, as `swept` names it; None where there is none."""
    return dict(flat(run.files.config)).get(field)


def _bring(url: str, copies: Path) -> None:
    for config in storage.list_files(f"{url}/**/config.json", refresh=True):
        run = config.url.removesuffix("/config.json")
        here = copies / run.removeprefix(url).lstrip("/")
        for name in _FILES:
            with contextlib.suppress(storage.MissingError):
                storage.download(f"{run}/{name}", here / name)


def _found(folder: Path, top: Path, alive_secs: float) -> FoundRun:
    name = folder.relative_to(top).as_posix() if folder != top else folder.resolve().name
    try:
        files = dataclasses.replace(read_run(folder), name=name)
    except RunError:  # the others are shown all the same
        return FoundRun(RunFiles(name, {}, {}, {}), "damaged", 0, None, None, None, None, "")
    step = int(files.summary.get("step", max(_steps(files), default=0)))
    total, state = _total_steps(files, step), _state(files, folder, alive_secs)
    rate = files.last("examples_per_second")
    eta = None
    if state == "running" and total and rate:
        eta = (total - step) * files.config.get("global_batch_size", 1) / rate
    parent = str(files.config.get("init", {}).get("from", "") or "")
    return FoundRun(files, state, step, total, _metric(files), rate, eta, parent)


def _steps(files: RunFiles) -> Iterator[int]:
    return (int(points[-1][0]) for points in files.curves.values())


def _state(files: RunFiles, folder: Path, alive_secs: float) -> str:
    if files.summary:
        return str(files.summary.get("status", "done"))
    ended = 0.0
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        ended = float(json.loads((folder / "goodput.json").read_text())[-1]["ended"])
    return "running" if time.time() - ended < alive_secs else "stopped"


def _total_steps(files: RunFiles, step: int) -> int | None:
    """Return the steps of the run; of one that counts epochs, by what its log says of them."""
    if steps := files.config.get("train_steps"):
        return int(steps)
    if files.summary:
        return step
    epoch = files.curves.get("epoch", [])
    if not (epoch and epoch[-1][1]):
        return None
    return round(epoch[-1][0] * files.config.get("epochs", 0) / epoch[-1][1])


def _metric(files: RunFiles) -> tuple[str, float] | None:
    """Return the first held-out metric that is no loss, else a loss."""
    held_out = [n for n in files.curves if n.startswith("eval/")]
    names = [n for n in held_out if n != "eval/loss"] + held_out + ["train/loss"]
    return next(((n, value) for n in names if (value := files.last(n)) is not None), None)
