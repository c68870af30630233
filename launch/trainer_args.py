"""The command line of the trainer, as far as a launcher must understand it."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from common.exit_codes import ExitCode, RunError
from common.redaction import find_secret, holds_secret


def value(args: Sequence[str], flag: str) -> str | None:
    """The value of `--flag=VALUE` or `--flag VALUE`, or None; the last one wins, as in absl."""
    found = None
    for position, arg in enumerate(args):
        if arg.startswith((f"--{flag}=", f"-{flag}=")):
            found = arg.split("=", 1)[1]
        elif arg in (f"--{flag}", f"-{flag}") and position + 1 < len(args):
            found = args[position + 1]
    return found


def replace(args: Sequence[str], flag: str, new_value: str) -> tuple[str, ...]:
    """The same arguments with every value of `flag` taken out and `--flag=NEW_VALUE` at the end."""
    kept: list[str] = []
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif arg in (f"--{flag}", f"-{flag}"):
            skip = True
        elif not arg.startswith((f"--{flag}=", f"-{flag}=")):
            kept.append(arg)
    return (*kept, f"--{flag}={new_value}")


def whole_number(args: Sequence[str], flag: str) -> int | None:
    """The value of a flag as a number, or None where it is absent; the trainer judges the rest."""
    text = value(args, flag)
    return int(text) if text is not None and text.isdecimal() else None


def refuse_secrets(args: Sequence[str]) -> None:
    """Refuses secrets in arguments: everyone who may list jobs can read those.

    Raises:
        RunError: BAD_FLAG, naming the flag and never its value.
    """
    for arg, following in itertools.zip_longest(args, args[1:], fillvalue=""):
        name, joined, text = arg.partition("=")
        if not joined and arg.startswith("-") and not following.startswith("-"):
            text = following  # `--flag VALUE`, which the trainer takes as well
        if found := find_secret(name, _read(text)) or (name if holds_secret(arg) else ""):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"{found.split('://')[0]} carries a secret in plain text; "
                "pass it by reference: --secret_env=NAME=SECRET/KEY",
            )


def _read(text: str) -> Any:
    """The value of a flag as the trainer reads it: JSON where it is JSON, else text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
