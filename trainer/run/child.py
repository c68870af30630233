"""How a run starts from its parent: which variables it takes, and what fits nothing.

The chief makes a checkpoint of step 0 of what was taken. From there on the child is a run like any
other: the parent is not read again, and may change or be deleted.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer import checkpoint, ownership
from trainer.cluster.consensus import Consensus
from trainer.config import InitConfig
from trainer.engine.variable_paths import by_path, fits_any, refuse_idle
from trainer.lineage import Parent
from trainer.run import parents, workdir
from trainer.run.checkpoints import Checkpoints
from trainer.run.session import Session
from trainer.run.state import RunState
from trainer.run.workdir import Workdir
from trainer.task import Task

Row = tuple[str, str]
_OTHERS = ("optimizer/", "average/", "loss_spike/", "loss_scale/")
_NAMED = "name it in config.init.exclude to leave it out"


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a run takes from its parent.

    Attributes:
        names: name in the run -> name in the parent.
        kept: paths of the run that stay as the seed makes them.
        unused: paths of the parent that are not taken.
    """

    names: Mapping[str, str]
    kept: list[str]
    unused: list[str]


def restore_or_begin(
    session: Session, checkpoints: Checkpoints, consensus: Consensus, folder: Workdir
) -> RunState | None:
    """Restore the newest checkpoint; where there is none, start from the parent, if there is one.

    Raises:
        RunError: where either cannot be read, or does not fit.
    """
    init, task = session.request.config.init, session.task
    if (restored := checkpoints.restore(session)) or not init.from_:
        return restored
    consensus.same_step(-1)  # one that sees a checkpoint does not come here
    with folder.given_back_if_refused(is_chief=session.request.is_chief):
        found = parents.find(init, task.models)
        session.write_state(started(task, session.read_state(), found, init))
    if session.request.is_chief:  # first: whoever finds the checkpoint does not come here
        folder.note_parent(found.parent)
    checkpoints.save_last(session, RunState(parent=found.parent))
    consensus.wait_for_all()  # no worker may read while the chief still writes
    return checkpoints.restore(session)


def rows(task: Task, init: InitConfig, where: str) -> list[Row]:
    """Return what `--dry_run` says of the parent; refuses as a start does.

    A run that has begun in the workdir `where` holds what it took: its parent may be gone.
    """
    if where and (parent := _recorded(where)):
        return [("started from", parent.line())]
    found = parents.find(init, task.models)
    taken = choose(task, found.state, init)
    return [
        ("started from", found.parent.line()),
        ("variables taken", f"{len(taken.names)}"),
        ("as the seed makes them", ", ".join(taken.kept) or "none"),
        ("left in the parent", ", ".join(taken.unused) or "none"),
    ]


def _recorded(where: str) -> Parent | None:
    """Return the parent of a run that has saved what it took from it."""
    with workdir.opened(where) as folder:
        store = checkpoint.Store(folder.path / "checkpoints", folder.checkpoints_url)
        parent = folder.parent()
        return Parent.from_plain(parent) if parent and store.steps() else None


def started(
    task: Task, state: checkpoint.State, found: parents.Found, init: InitConfig
) -> dict[str, np.ndarray]:
    """Return the state that the run starts with."""
    names = choose(task, found.state, init).names
    made = {n: found.state[names[n]] if n in names else value for n, value in state.items()}
    for role in task.optimizers:  # the schedule counts from here
        names_of = {path.rpartition("/")[2]: name for path, name in by_path(made).items()
                    if path.startswith(f"optimizer/{role}/")}  # fmt: skip
        if first := names_of.get("first_update"):
            made[first] = np.array(made[names_of["iteration"]])
    return made


def choose(task: Task, parent: checkpoint.State, init: InitConfig) -> Taken:
    """Pair the variables of a run with those of its parent, by path.

    Raises:
        RunError: BAD_CONFIG naming every variable that only one of both has, or has otherwise.
    """
    state, wanted = task.state(), _wanted(task, init)
    here, there = by_path(state), by_path(parent)
    paths = [p for p, n in {**there, **here}.items() if _is_kind(n, init)]
    for field in ("include", "exclude"):
        refuse_idle(getattr(init, field), paths, f"init.{field}")

    def is_asked(path: str) -> bool:
        included = not init.include or fits_any(path, init.include)
        return included and not fits_any(path, init.exclude)

    asked = {path: name for path, name in here.items() if name in wanted and is_asked(path)}
    problems = [f"{path} is not in the parent" for path in asked if path not in there]
    for path, name in asked.items():
        if path in there and (old := checkpoint.form(parent[there[path]])) != (
            new := checkpoint.form(state[name])
        ):
            problems.append(f"{path} is {old} there and {new} here")
    unused = [p for p, n in there.items() if p not in here and _is_kind(n, init)]
    problems += [f"{path} is only in the parent" for path in unused if is_asked(path)]
    if problems:
        raise RunError(
            ExitCode.BAD_CONFIG, f"config.init.from={init.from_!r}: {'; '.join(problems)}; {_NAMED}"
        )
    kept = [path for path, name in here.items() if name in wanted and path not in asked]
    return Taken({name: there[path] for path, name in asked.items()}, kept, unused)


def _wanted(task: Task, init: InitConfig) -> set[str]:
    """Return the names of the variables that `init.what` asks for."""
    if init.what == "all":
        return {name for name in task.state() if _is_kind(name, init)}
    owned = [part for _, part in task.owned()]
    roles = {i: role for part in owned for i, role in ownership.created_as(part).items()}
    kinds = ("weight", "statistic") if init.what == "weights+statistics" else ("weight",)
    return {name for name, v in task.state().items() if roles.get(id(v)) in kinds}


def _is_kind(name: str, init: InitConfig) -> bool:
    """Whether a variable of the parent, of which only the name is known, may be asked for."""
    if init.what == "all":
        return not name.endswith("/first_update")
    return not name.startswith(_OTHERS) and not name.endswith("seed_generator_state")
