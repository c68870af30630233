"""Whose code a workdir may run: its config.json may be anybody's, and names modules."""

import sys
from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer import registry
from trainer.config import TrainConfig, experiment_file, parts
from trainer.data import sources

_OURS = "trainer.synthetic."
_PROGRAMS = ("trainer.", "launch.")


def check(config: TrainConfig, where: str, experiment: str) -> None:
    """Refuse code that nobody vouched for, before any of it is imported.

    Args:
        config: read from a workdir.
        where: the workdir, for the message.
        experiment: the experiment that the user named, which is trusted with the modules beside it
            and those that it names; it is loaded, and its folder put on the import path.

    Raises:
        RunError: BAD_FLAG naming the workdir, the field, the name and what to give.
    """
    named = _named(config)
    if not (named or experiment):
        return
    known = _trusted(experiment) if experiment else set()
    for field, name in named.items():
        is_beside = experiment and _beside(experiment, name)
        if name not in known and not is_beside and not _of_this_process(name):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"{where}: its config.json runs custom code (config.{field}={name!r}) that "
                f"{f'--config={experiment}' if experiment else 'no --config'} vouches for; give "
                "--config=FILE, the experiment of this run, if you trust it",
            )


def _named(config: TrainConfig) -> dict[str, str]:
    """Return field -> name of every part from outside of the trainer."""
    named = {field: name for field, table, name in parts.names(config) if name not in table}
    if sources.find(config.dataset.name).is_custom:
        named["dataset.name"] = config.dataset.name
    return {field: name for field, name in named.items() if not name.startswith(_OURS)}


def _trusted(experiment: str) -> set[str]:
    """Return the parts that an experiment names; a script names none in a config."""
    module = experiment_file.imported(experiment)
    if not callable(getattr(module, "get_config", None)):
        return set()
    return set(_named(experiment_file.load(experiment)).values())


def _of_this_process(name: str) -> bool:
    """Whether the notebook or script that asks has defined the part itself."""
    module, _, attribute = name.partition(":")
    main = sys.modules["__main__"]
    own = getattr(vars(main).get(attribute), "__module__", "") == "__main__"
    return own and module == registry.main_name() and not module.startswith(_PROGRAMS)


def _beside(experiment: str, name: str) -> bool:
    """Whether the module of "package.module:object" lies in the folder of the file."""
    file, package = Path(experiment).resolve(), name.partition(":")[0].partition(".")[0]
    first = file.parent / package
    return file.is_file() and (first.is_dir() or first.with_suffix(".py").is_file())
