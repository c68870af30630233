"""The replay of steps of a run, into a separate folder."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint, lineage, version
from trainer.checkpoint import folder as one
from trainer.cluster import strategy
from trainer.cluster.placement import Placement
from trainer.commands import custom_code
from trainer.commands.restored import read_config
from trainer.config import TrainConfig
from trainer.config.conversion import to_plain
from trainer.monitoring.phases import unwatched
from trainer.monitoring.stop import StopSignal
from trainer.report.run_files import read_lines, read_summary
from trainer.run import loop
from trainer.run.request import Request, make_request
from trainer.run.workdir import Workdir

Line = dict[str, Any]
_TIMED = ("examples_per_second", "time/", "goodput", "seconds/", "profile/")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a run has recorded that a replay can be compared with.

    Attributes:
        where: path or URL of the run.
        config: of the run.
        checkpoints: step -> folder, of those that are whole.
        lines: of `metrics.jsonl`, without what was measured with a clock.
        summary: empty where the run has not ended.
    """

    where: str
    config: TrainConfig
    checkpoints: dict[int, Path]
    lines: list[Line]
    summary: dict[str, Any]

    @property
    def last_step(self) -> int:
        """The last step of which anything is recorded."""
        return max([0, *self.checkpoints, *(line["step"] for line in self.lines)])

    @functools.cached_property
    def newest_meta(self) -> checkpoint.Meta | None:
        """What the newest checkpoint says of its config, code, data and kernels."""
        newest = max(self.checkpoints, default=None)
        return None if newest is None else checkpoint.read_meta(self.checkpoints[newest])


def read(folder: Workdir, copies: Path, experiment: str) -> Recorded:
    """Return what is in a workdir.

    Args:
        folder: of the run.
        copies: where checkpoints of a remote run are brought.
        experiment: see `custom_code.check`.

    Raises:
        RunError: BAD_FLAG where it holds no run, BAD_DATA where a file cannot be read.
    """
    config = read_config(folder)
    custom_code.check(config, folder.shown, experiment)
    here = copies if folder.url else folder.path / "checkpoints"
    store = checkpoint.Store(here, folder.checkpoints_url)
    try:
        lines = comparable(folder.path / "metrics.jsonl")
        summary = read_summary(folder.path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            ExitCode.BAD_DATA, f"{folder.shown} cannot be read: {error}; restore its files"
        ) from error
    return Recorded(folder.shown, config, store.whole(), lines, summary)


def comparable(path: Path) -> list[Line]:
    """Return the lines of a `metrics.jsonl` without what a clock has measured."""
    lines = read_lines(path)
    return [{k: v for k, v in line.items() if not k.startswith(_TIMED)} for line in lines]


def request_of(recorded: Recorded, placement: Placement, **fields: Any) -> Request:
    """Return the request for a replay; `fields` of the config are set anew."""
    # No clock ends a replay, and nobody else is told of it.
    stop = dataclasses.replace(recorded.config.stop, max_hours=0.0)
    config = dataclasses.replace(recorded.config, stop=stop, trackers=(), **fields)
    strategy.configure_runtime(config)
    return make_request(config, placement)


def replay(recorded: Recorded, request: Request, start: int, end: int, into: Path) -> None:
    """Make the steps after `start` up to `end` again, as a run in the folder `into`.

    Args:
        recorded: has a checkpoint of `start`, or `start` is 0.
        request: see `request_of`.
        start: step of a checkpoint, or 0.
        end: last step.
        into: a new folder; it gets metrics, and the checkpoint of `end`.
    """
    if start in recorded.checkpoints:  # that of step 0 is of a child, whose parent may be gone
        state, meta = checkpoint.read(recorded.checkpoints[start])
        # Other code and data are what a replay is to show: the caller says how they differ.
        adopted = dataclasses.replace(
            meta,
            data=request.info.fingerprint(),
            files=request.info.contents(),
            code=lineage.Code().files(),
            kernels=version.kernels(),
        )
        (into / "checkpoints").mkdir(parents=True)
        (into / "config.json").write_text(json.dumps(to_plain(request.config)))  # whose it is
        one.write(into / "checkpoints", state, adopted)
    limited = dataclasses.replace(request, until=end)
    with _stopped_at_its_end():
        loop.run(limited, str(into), stop=StopSignal(), phases=unwatched())
    _check_parent(recorded, into)


def _check_parent(recorded: Recorded, made: Path) -> None:
    """Refuse a replay from the beginning whose parent is not any more what it was then."""
    here, meta = Workdir(made).parent(), recorded.newest_meta
    told = meta and meta.progress.get("parent")
    if here and told and here["digest"] != told["digest"]:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{recorded.where} was started from {lineage.Parent.from_plain(told)}, and "
            f"config.init.from={here['source']!r} holds {here['digest'][:16]} now; replay from a "
            "checkpoint of the run",
        )


@contextlib.contextmanager
def _stopped_at_its_end() -> Iterator[None]:
    try:
        yield
    except RunError as error:
        if error.code is not ExitCode.STOPPED:
            raise


def changes(meta: checkpoint.Meta, request: Request) -> list[str]:
    """Say what is not here as it was when a checkpoint was written: code, data, kernels."""
    lines = [f"code of {name}" for name in lineage.Code().changed(meta.code)]
    if meta.data != request.info.fingerprint():
        here = request.info.contents()
        files = [n for n, content in here.items() if meta.files.get(n, content) != content]
        lines.append(f"data ({', '.join(files) or request.info.source})")
    return lines + lineage.differences(meta.kernels, version.kernels())
