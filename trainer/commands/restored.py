"""A trained task from its workdir: for looking, predicting and exporting, without a strategy."""

import dataclasses
from typing import Any

import keras

from common.exit_codes import ExitCode, RunError
from trainer import build, checkpoint
from trainer.cluster import strategy
from trainer.commands import custom_code
from trainer.config import TrainConfig
from trainer.config.conversion import from_plain
from trainer.data import sources
from trainer.data.augment import preprocess
from trainer.data.info import DatasetInfo
from trainer.data.sources import roles
from trainer.plan import Plan, make_plan
from trainer.run import chosen, workdir
from trainer.task import Task


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint holds, as objects.

    Attributes:
        config: of the run.
        info: of its data.
        plan: of the run.
        task: with the state of the checkpoint; its models hold the averages, where there are any.
        step: of the checkpoint.
        digest: of its state.
    """

    config: TrainConfig
    info: DatasetInfo
    plan: Plan
    task: Task
    step: int
    digest: str


def restore_task(where: str, experiment: str | None = "", which: str = "newest") -> Restored:
    """Return a checkpoint of the workdir `where`.

    Args:
        where: path or URL.
        which: `newest`, `best` or a step.
        experiment: experiment whose folder holds the parts that the config names "module:object";
            None: whoever asks has run them.

    Raises:
        RunError: BAD_FLAG where there is no run, or one whose config names code that `experiment`
            does not vouch for; BAD_DATA where no checkpoint is whole.
    """
    config, state, meta = read(where, experiment, which)
    strategy.configure_runtime(config)
    info = sources.describe(roles.of_task(config))
    plan = make_plan(config, info)
    task = _build(config, info, plan)
    write(task, state, where)
    if task.average:
        task.average.put_in_place()
    return Restored(config, info, plan, task, meta.step, checkpoint.digest(state, meta.step))


def read(
    where: str, experiment: str | None, which: str
) -> tuple[TrainConfig, dict[str, Any], checkpoint.Meta]:
    """Return the config of a run, and the variables and the rest of a checkpoint.

    Raises:
        RunError: as `restore_task`.
    """
    with workdir.opened(where) as folder:
        config = read_config(folder)
        if experiment is not None:
            custom_code.check(config, where, experiment)
        return config, *chosen.read(folder, which, "--checkpoint")


def write(task: Task, state: checkpoint.State, where: str) -> None:
    """Assign the variables of a checkpoint to a task.

    Raises:
        RunError: BAD_CONFIG where they do not fit.
    """
    variables = task.state()
    checkpoint.match(state, variables, where)
    for name, variable in variables.items():
        variable.assign(state[name])


def _build(config: TrainConfig, info: DatasetInfo, plan: Plan) -> Task:
    keras.backend.clear_session()
    features = preprocess.seen_features(info.features, config.augment)
    return build.build_task(config, features, total_steps=plan.total_steps)


def read_config(folder: workdir.Workdir) -> TrainConfig:
    """Return the config of the run in a workdir.

    Raises:
        RunError: BAD_FLAG where there is none, BAD_DATA where its config cannot be read.
    """
    if (plain := folder.config()) is None:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"{folder.shown} holds no run: config.json is missing; give a --workdir",
        )
    try:
        return from_plain(TrainConfig, plain)
    except RunError as error:
        raise RunError(
            ExitCode.BAD_DATA, f"{folder.shown}/config.json: {error.reason}; restore it"
        ) from error
