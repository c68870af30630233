"""Whose code a workdir may run: its config.json may be anybody's, and names modules."""

from pathlib import Path

from common.exit_codes import ExitCode, RunError
from trainer.config import TrainConfig, experiment_file, part_names
from trainer.data import sources

_OURS = "trainer.synthetic."


def check(config: TrainConfig, where: str, own_file: str) -> None:
    """Refuse code that nobody vouched for, before any of it is imported.

    Args:
        config: read from a workdir.
        where: the workdir, for the message.
        own_file: the experiment that the user named, which is trusted with the modules beside it
            and those that it names; it is loaded, and its folder put on the import path.

    Raises:
        RunError: BAD_FLAG naming the workdir, the field, the name and what to give.
    """
    named = _named(config)
    if not (named or own_file):
        return
    known = set(_named(experiment_file.load(own_file)).values()) if own_file else set()
    for field, name in named.items():
        if name not in known and not (own_file and _beside(own_file, name)):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"{where}: its config.json runs code of its own (config.{field}={name!r}) that "
                f"{f'--config={own_file}' if own_file else 'no --config'} vouches for; give "
                "--config=FILE, the experiment of this run, if you trust it",
            )


def _named(config: TrainConfig) -> dict[str, str]:
    """Return field -> name of every part from outside of the trainer."""
    named = {field: name for field, table, name in part_names.names(config) if name not in table}
    if sources.find(config.dataset.name).is_custom:
        named["dataset.name"] = config.dataset.name
    return {field: name for field, name in named.items() if not name.startswith(_OURS)}


def _beside(own_file: str, name: str) -> bool:
    """Whether the module of "package.module:object" lies in the folder of the file."""
    file, package = Path(own_file).resolve(), name.partition(":")[0].partition(".")[0]
    first = file.parent / package
    return file.is_file() and (first.is_dir() or first.with_suffix(".py").is_file())
