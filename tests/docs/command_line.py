"""Writes `docs/reference/command_line.md`, the help of every command.

python -m tests.docs.command_line > docs/reference/command_line.md
"""

import contextlib
import io
import os
from collections.abc import Callable
from unittest import mock

from launch.cli import main as launch
from trainer import __main__ as trainer
from trainer import commands
from trainer.data import __main__ as data

HEAD = """\
# Command line

Generated from the help of every command. To write it again, run
`python -m tests.docs.command_line > docs/reference/command_line.md`.
"""
PROGRAMS: dict[str, tuple[Callable[[list[str]], object], list[str]]] = {
    "trainer": (lambda words: trainer.main(["trainer", *words]), ["", *commands.COMMANDS]),
    "trainer.data": (data.main, ["show", "verify", "prepare"]),
    "launch": (launch.main, ["", *launch.VERBS]),
}


def page() -> str:
    """Return the page."""
    with mock.patch.dict(os.environ, COLUMNS="100"):  # as wide as every reader's
        sections = [
            f"## `{f'python -m {program} {verb}'.strip()}`\n\n```text\n{_help(main, verb)}```\n"
            for program, (main, verbs) in PROGRAMS.items()
            for verb in verbs
        ]
    return "\n".join([HEAD, *sections])


def _help(main: Callable[[list[str]], object], verb: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        main([*verb.split(), "--help"])
    return shown.getvalue()


if __name__ == "__main__":
    print(page(), end="")
