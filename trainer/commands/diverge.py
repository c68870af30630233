"""`python -m trainer diverge A B`: where two runs first differ, and why."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.listing import listed
from trainer.commands import Parser
from trainer.report.run_files import by_step
from trainer.runtime import quiet

if TYPE_CHECKING:
    from trainer.checkpoint import State
    from trainer.commands.replay import Line, Recorded
    from trainer.run.request import Request

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Parting:
    """Two runs, or two replays, step by step.

    Attributes:
        equal: last step at which something was compared and everything was equal.
        step: first step at which something differs; None: none.
        what: differs there.
        digests: both digest lines of that step, if there are any.
    """

    equal: int
    step: int | None
    what: str = ""
    digests: "tuple[Line, Line] | None" = None


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("diverge", "Find where two runs part for the first time, and why.")
    parser.add_argument("workdirs", nargs=2, metavar="RUN", help="folder or URL of a run")
    parser.add_argument("--config", default="", help="experiment file that the runs used")
    parser.add_argument("--no_replay", action="store_true", help="only what the runs recorded")
    flags = parser.parse_args(args)
    with quiet.loading():
        from trainer.commands import replay
        from trainer.run import workdir
    with (
        workdir.opened(flags.workdirs[0]) as a,
        workdir.opened(flags.workdirs[1]) as b,
        tempfile.TemporaryDirectory() as copies,
    ):
        both = [
            replay.read(folder, Path(copies) / str(i), flags.config)
            for i, folder in enumerate((a, b))
        ]
        for line in reasons(both):
            print(line)
        recorded = compared(both[0].lines, both[1].lines)
        print(_told("recorded", recorded, both))
        if not flags.no_replay:
            for line in _replayed(both, recorded, Path(copies)):
                print(line)


def reasons(both: Sequence["Recorded"]) -> Iterator[str]:
    """Say in what config, code, data, versions and kernels the runs differ."""
    from trainer import lineage
    from trainer.config import essential_difference
    from trainer.config.conversion import to_plain

    found = essential_difference(to_plain(both[0].config), to_plain(both[1].config))
    yield f"config: {'; '.join(found) or 'the same in all that is computed'}"
    one, two = (recorded.newest_meta for recorded in both)
    if one is None or two is None:
        yield "code, data, kernels: not known without a checkpoint of each"
        return
    names = sorted(n for n in {*one.code, *two.code} if one.code.get(n) != two.code.get(n))
    yield f"code: {', '.join(names) or 'the same'}"
    yield f"data: {'the same' if one.data == two.data else _files(one.files, two.files)}"
    parents = [
        (meta.progress.get("parent") or {}).get("digest", "none")[:16] for meta in (one, two)
    ]
    yield f"parent: {'the same' if parents[0] == parents[1] else ' and '.join(parents)}"
    kernels = lineage.differences(one.kernels, two.kernels)
    yield f"versions and kernels: {'; '.join(kernels) or 'the same'}"


def _files(one: Any, two: Any) -> str:
    changed = [n for n in sorted({*one, *two}) if one.get(n) != two.get(n)]
    return ", ".join(changed[:_SHOWN]) or "other examples of the same files"


def compared(one: Sequence["Line"], two: Sequence["Line"]) -> Parting:
    """Compare two logs at the steps and names that both have."""
    logs = by_step(one), by_step(two)
    equal = 0
    for step in sorted(logs[0].keys() & logs[1].keys()):
        a, b = logs[0][step], logs[1][step]
        shared = [name for name in a if name in b and name != "step"]
        differ = [name for name in shared if a[name] != b[name]]
        if differ:
            name = next((n for n in differ if not n.startswith("digest")), differ[0])
            digests = (a, b) if "digest" in a and "digest" in b else None
            return Parting(equal, step, f"{name} {a[name]} and {b[name]}", digests)
        equal = step if shared else equal
    return Parting(equal, None)


def _told(kind: str, parting: Parting, both: Sequence["Recorded"]) -> str:
    from trainer.commands.verify import differing

    if parting.step is None:
        return f"{kind}: equal wherever both say something, up to step {parting.equal}"
    variables = differing(*parting.digests, _names(both)) if parting.digests else []
    named = f"; variables: {listed(variables, _SHOWN)}" if variables else ""
    return (
        f"{kind}: equal at step {parting.equal}, different at step {parting.step}: "
        f"{parting.what}{named}"
    )


def _names(both: Sequence["Recorded"]) -> list[str]:
    from trainer import checkpoint

    saved = [path for recorded in both for path in recorded.checkpoints.values()]
    return list(checkpoint.read(saved[0])[0]) if saved else []


def _replayed(both: Sequence["Recorded"], recorded: Parting, copies: Path) -> Iterator[str]:
    """Replay both runs step by step, from the last state that they share to where they part."""
    from trainer.cluster.placement import Placement
    from trainer.commands import replay

    start = _shared(both, recorded.equal)
    ends = [max(one.checkpoints, default=0) for one in both]
    end = recorded.step or min(ends)
    if end <= start:
        yield "replayed: nothing, for no step lies between what both have saved"
        return
    requests = [replay.request_of(one, Placement("cpu"), digest_every_steps=1) for one in both]
    end = min(end, *(request.plan.total_steps for request in requests))
    folders = [copies / "replay_a", copies / "replay_b"]
    for one, request, folder in zip(both, requests, folders, strict=True):
        replay.replay(one, request, start, end, folder)
    logs = [replay.comparable(folder / "metrics.jsonl") for folder in folders]
    parting = compared(*([line for line in log if "digest" in line] for log in logs))
    if parting.step is None:
        yield f"replayed here: equal at every step from {start} to {end}"
        yield from _not_reproduced(both, logs)
        return
    yield _told("replayed here", parting, both)
    states = [
        _state_before(one, request, start, parting.step, copies / f"before_{i}")
        for i, (one, request) in enumerate(zip(both, requests, strict=True))
    ]
    found = _probed(requests, states, parting.step - 1)
    yield f"inside of step {parting.step}: {found}"


def _shared(both: Sequence["Recorded"], equal: int) -> int:
    """Return the last step, up to `equal`, of which both have the same state; 0: the beginning."""
    from trainer import checkpoint

    def digest(recorded: "Recorded", step: int) -> str:
        return checkpoint.digest(checkpoint.read(recorded.checkpoints[step])[0], step)

    steps = both[0].checkpoints.keys() & both[1].checkpoints.keys()
    newest_first = sorted((step for step in steps if step <= equal), reverse=True)
    return next((s for s in newest_first if digest(both[0], s) == digest(both[1], s)), 0)


def _not_reproduced(both: Sequence["Recorded"], logs: Sequence[Sequence["Line"]]) -> Iterator[str]:
    """Say which of the runs is not what its config, code and data make of it here."""
    for one, log in zip(both, logs, strict=True):
        own = compared(one.lines, log)
        if own.step is not None:
            yield _told(f"{one.where} and its replay", own, both)
            yield f"so code, kernels or hardware of {one.where} explain it, as the lines above say"


def _state_before(
    recorded: "Recorded", request: "Request", start: int, step: int, into: Path
) -> "State | None":
    """Return the state that a step begins with; None: the initial one."""
    from trainer import checkpoint
    from trainer.checkpoint.folder import name_of
    from trainer.commands import replay

    if step - 1 == start and start in recorded.checkpoints:
        return checkpoint.read(recorded.checkpoints[start])[0]
    if step == 1:
        return None
    replay.replay(recorded, request, start, step - 1, into)
    return checkpoint.read(into / "checkpoints" / name_of(step - 1))[0]


def _probed(requests: Sequence["Request"], states: Sequence["State | None"], step: int) -> str:
    """Make one step of each with probes; return the first thing that differs."""
    from trainer import build
    from trainer.engine.probes import probe
    from trainer.run.session import open_session

    made = []
    for request, state in zip(requests, states, strict=True):
        session = open_session(request)
        if state is not None:
            session.write_state(dict(state))
        plan = build.step_plan(request.config)
        made.append(probe(session.task, plan, session.train.microbatches(step)))
    for name, value in made[0].items():
        if name not in made[1]:
            return f"{name} is computed in the first run only"
        if made[1][name] != value:
            return f"{name} differs first"
    if more := [name for name in made[1] if name not in made[0]]:
        return f"{more[0]} is computed in the second run only"
    return "all inputs, layers and gradients are equal: the update itself differs (optimizer, rate)"
