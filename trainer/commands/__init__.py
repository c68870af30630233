"""The words that may follow `python -m trainer`; without one of them it trains."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from typing import NoReturn

from common.exit_codes import ExitCode, RunError

Command = Callable[[Sequence[str]], None]

COMMANDS = {
    "new": ("trainer.template.new:main", "write a custom experiment into a folder"),
    "compare": ("trainer.commands.compare:main", "runs side by side, and how their configs differ"),
    "verify": ("trainer.commands.verify:main", "make steps of a run again, and compare"),
    "diverge": ("trainer.commands.diverge:main", "where two runs part for the first time, and why"),
    "runs": ("trainer.commands.runs:main", "all runs below a folder or a bucket"),
    "predict": (
        "trainer.commands.predict:main",
        "what a model makes of images, tables, arrays, records",
    ),
    "export": ("trainer.commands.export:main", "the trained model as .keras and SavedModel"),
    "evaluate": (
        "trainer.commands.evaluate:main",
        "loss and metrics of any checkpoint, on any data",
    ),
    "tune": ("trainer.tune.command:main", "the fastest settings for a config on this machine"),
    "completion": ("trainer.commands.completion:main", "completion for bash or zsh"),
}


def find(argv: Sequence[str]) -> Command | None:
    """Return the command that the first word names, or None where it is a flag or missing.

    Only the module of that command is imported.

    Raises:
        RunError: BAD_FLAG where the word is no command.
    """
    if len(argv) < 2 or argv[1].startswith("-"):
        return None
    if argv[1] not in COMMANDS:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"{argv[1]!r} is neither a flag nor a command; flags begin with --, "
            f"commands are: {', '.join(COMMANDS)}",
        )
    module, _, name = COMMANDS[argv[1]][0].partition(":")
    command: Command = getattr(importlib.import_module(module), name)
    return command


def usage() -> str:
    """Return one line for each command."""
    lines = [f"  {name:12}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(lines) + "\n"


class Parser(argparse.ArgumentParser):
    """Reads the flags of one command; a mistake becomes one line and exit code 64."""

    def __init__(self, command: str, description: str | None) -> None:
        super().__init__(
            prog=f"python -m trainer {command}", description=description, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise RunError(ExitCode.BAD_FLAG, f"{self.prog}: {message}; see {self.prog} --help")


def add_checkpoint(parser: Parser) -> None:
    """Add `--checkpoint`, which of a run's is meant."""
    parser.add_argument(
        "--checkpoint", default="newest", help="newest, best (by keep_best_metric), or a step"
    )
