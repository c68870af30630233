"""`python -m trainer verify RUN`: replay steps of a run, on any placement, and compare."""

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.exit_codes import ExitCode, RunError
from common.listing import listed
from trainer.commands import Parser
from trainer.report.run_files import by_step
from trainer.runtime import quiet

if TYPE_CHECKING:
    from trainer.commands.replay import Recorded
    from trainer.run.request import Request

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Difference:
    """Where a run and its replay differ for the first time.

    Attributes:
        step: after which they differ.
        what: differs, with both values.
    """

    step: int
    what: str


def main(args: Sequence[str]) -> None:
    """Run the command."""
    flags = _parse(args)
    with quiet.loading():
        from trainer.cluster.placement import Placement
        from trainer.commands import replay
        from trainer.run import workdir
    with workdir.opened(flags.workdir) as folder, tempfile.TemporaryDirectory() as copies:
        recorded = replay.read(folder, Path(copies), flags.config)
        saved = sorted(recorded.checkpoints)
        points = stretches(flags.steps, saved, recorded.last_step, flags.workdir)
        check_certificate(recorded)
        request = replay.request_of(recorded, Placement(flags.strategy, flags.cpu_replicas))
        meta = recorded.newest_meta
        changed = replay.changes(meta, request) if meta else []
        for start, end in itertools.pairwise(points):
            found = _replayed(recorded, request, start, end, flags.log_examples)
            _refuse(recorded, found, start, changed)
    note = f"; not the same here, and of no effect: {', '.join(changed)}" if changed else ""
    print(f"verified: steps {points[0]} to {points[-1]} of {flags.workdir}{note}")


def _parse(args: Sequence[str]) -> argparse.Namespace:
    parser = Parser("verify", "Make steps of a run again, and compare all that it has recorded.")
    parser.add_argument("workdir", help="folder or URL of the run")
    parser.add_argument(
        "--steps", default="", metavar="A:B", help="default: from the last checkpoint but one"
    )
    parser.add_argument("--cpu_replicas", type=whole_number, default=0, help="replicas on this CPU")
    parser.add_argument(
        "--strategy", default="auto", choices=["auto", "cpu", "mirrored", "tpu"], help="where"
    )
    parser.add_argument("--log_examples", type=Path, help="the run's example log, to compare too")
    parser.add_argument("--config", default="", help="experiment file that the run used")
    return parser.parse_args(args)


def whole_number(text: str) -> int:
    """Read a whole number of zero or more; argparse reports anything else."""
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _replayed(
    recorded: "Recorded", request: "Request", start: int, end: int, examples: Path | None
) -> list[Difference]:
    """Make the steps from one checkpoint to the next again; return all that came out otherwise."""
    from trainer.commands import replay

    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        made, log = Path(folder) / "run", Path(folder) / "examples"
        logged = dataclasses.replace(request, log_examples=str(log))
        replay.replay(recorded, logged, start, end, made)
        # Only now: TensorFlow splits its CPU before its first operation.
        found = [*_start(recorded, start), *_lines(recorded, made, start, end)]
        found += _state(recorded, made, end)
        if examples:
            found += _examples(examples, log, start, end)
    return found


def stretches(asked: str, saved: Sequence[int], last_step: int, where: str) -> list[int]:
    """Return the steps from one of which to the next is replayed.

    Args:
        asked: "A:B", "A:", ":B" or "".
        saved: steps of checkpoints, ascending.
        last_step: that the run has recorded.
        where: the workdir, for the message.

    Raises:
        RunError: BAD_FLAG where there is nothing to replay.
    """
    first, colon, last = asked.partition(":")
    if asked and not (colon and all(not t or t.isdecimal() for t in (first, last))):
        raise RunError(ExitCode.BAD_FLAG, f"verify --steps={asked}: write FIRST:LAST, as 400:800")
    if not last and not saved:
        raise RunError(ExitCode.BAD_FLAG, f"{where} holds no checkpoint; give --steps=0:LAST")
    end = int(last or saved[-1])
    before = [step for step in saved if step < end]
    wanted = int(first) if first else max(before, default=0)
    start = max((step for step in before if step <= wanted), default=0)
    if not wanted < end <= last_step:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"verify --steps={asked}: nothing to compare from step {wanted} to {end}; {where} has "
            f"recorded steps up to {last_step}",
        )
    return [start, *(step for step in before if step > start), end]


def check_certificate(recorded: "Recorded") -> None:
    """Refuse a run whose config or final state does not match the certificate in its summary.

    Raises:
        RunError: PARTED.
    """
    from trainer import checkpoint
    from trainer.config.conversion import to_plain
    from trainer.run.certificate import config_digest

    summary, step = recorded.summary, recorded.summary.get("step", -1)
    told, here = (
        summary.get("certificate", {}).get("config"),
        config_digest(to_plain(recorded.config)),
    )
    if told and told != here:
        what = f"config.json is not what summary.json says: {told[:16]} -> {here[:16]}"
        _refuse(recorded, [Difference(0, what)], 0, [])
    if step in recorded.checkpoints:
        state, _ = checkpoint.read(recorded.checkpoints[step])
        here, told = checkpoint.digest(state, step), str(summary.get("state_digest", ""))
        if here != told:
            what = f"the checkpoint is not what summary.json says: {told[:16]} -> {here[:16]}"
            _refuse(recorded, [Difference(step, what)], step, [])


def _refuse(
    recorded: "Recorded", found: Iterable[Difference], start: int, changed: Sequence[str]
) -> None:
    """Raise with the first of what was found."""
    if (first := min(found, key=lambda one: one.step, default=None)) is None:
        return
    why = f"not the same here: {', '.join(changed)}" if changed else (
        "code, data and kernels are the same here: look at the hardware, and for edited files"
    )  # fmt: skip
    equal = f"; replayed from step {start}" if first.step > start else ""
    raise RunError(
        ExitCode.PARTED, f"{recorded.where} parts at step {first.step}: {first.what}{equal}; {why}"
    )


def _start(recorded: "Recorded", start: int) -> Iterator[Difference]:
    """Compare a checkpoint with the digest that was logged when it was written."""
    lines = [line for line in recorded.lines if line["step"] == start and "digest" in line]
    if not (start and lines):
        return
    import numpy as np
    import tensorflow as tf

    from trainer import checkpoint
    from trainer.engine.replica_hashes import hash_of
    from trainer.run.corruption import digest_line

    state, _ = checkpoint.read(recorded.checkpoints[start])
    here = digest_line(np.array([hash_of(tf.constant(value)) for value in state.values()]))
    if here["digest"] != lines[-1]["digest"]:
        names = differing(here, lines[-1], list(state))
        yield Difference(
            start, f"its checkpoint holds another {listed(names, _SHOWN)} than the run had then"
        )


def differing(one: dict[str, Any], two: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Name the variables whose digits in two digest lines differ."""
    a, b = one["digest_of_variables"], two["digest_of_variables"]
    return [name for i, name in enumerate(names) if a[4 * i : 4 * i + 4] != b[4 * i : 4 * i + 4]]


def _lines(recorded: "Recorded", made: Path, start: int, end: int) -> Iterator[Difference]:
    """Compare the numbers that both have logged."""
    from trainer.commands.replay import comparable

    logs = (recorded.lines, comparable(made / "metrics.jsonl"))
    old, new = (by_step(x for x in lines if start < x["step"] <= end) for lines in logs)
    for step in sorted(old.keys() & new.keys()):
        for name in old[step].keys() & new[step].keys():
            if (before := old[step][name]) != (now := new[step][name]):
                yield Difference(step, f"{name} {_short(before)} -> {_short(now)}")


def _state(recorded: "Recorded", made: Path, end: int) -> Iterator[Difference]:
    """Compare the checkpoints of the last step."""
    if end not in recorded.checkpoints:
        return
    from trainer import checkpoint
    from trainer.checkpoint.folder import name_of

    old, _ = checkpoint.read(recorded.checkpoints[end])
    if not (path := made / "checkpoints" / name_of(end)).is_dir():
        yield Difference(end, "the replay ended before this step")
        return
    new, _ = checkpoint.read(path)
    names = [n for n in old if n not in new or old[n].tobytes() != new[n].tobytes()]
    if names:
        yield Difference(end, f"the checkpoint holds another {listed(names, _SHOWN)}")


def _examples(old: Path, new: Path, start: int, end: int) -> Iterator[Difference]:
    """Compare the examples of every step that both logs hold."""
    logs = [_logged(path, start, end) for path in (old, new)]
    if not logs[0]:
        raise RunError(
            ExitCode.BAD_FLAG, f"--log_examples={old} holds no step from {start} to {end}"
        )
    for step in sorted(logs[0].keys() & logs[1].keys()):
        if logs[0][step] != logs[1][step]:
            yield Difference(step + 1, "other examples were served")


def _logged(path: Path, start: int, end: int) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    try:
        for line in path.read_text().splitlines():
            if start <= (step := int(line.partition("\t")[0])) < end:
                found.setdefault(step, set()).add(line)
    except (OSError, ValueError) as error:
        raise RunError(
            ExitCode.BAD_FLAG, f"--log_examples={path} is no example log: {error}"
        ) from error
    return found


def _short(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)[:16]
