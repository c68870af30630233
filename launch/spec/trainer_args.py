"""The command line of the trainer, as far as a launcher must understand it."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from common.redaction import find_secret, holds_secret
from launch.spec.user_input import bad_flag


def value(args: Sequence[str], flag: str) -> str | None:
    """The value of `--flag=VALUE` or `--flag VALUE`, or None; the last one wins, as in absl."""
    return _taken(args, flag)[1]


def replace(args: Sequence[str], flag: str, new_value: str) -> tuple[str, ...]:
    """The same arguments with every value of `flag` taken out and `--flag=NEW_VALUE` at the end."""
    return (*_taken(args, flag)[0], f"--{flag}={new_value}")


def _taken(args: Sequence[str], flag: str) -> tuple[list[str], str | None]:
    """The arguments without those of `flag`, and its last value."""
    kept: list[str] = []
    found = None
    rest = iter(args)
    for arg in rest:
        name, joined, text = arg.partition("=")
        if name not in (f"--{flag}", f"-{flag}"):
            kept.append(arg)
        elif joined:
            found = text
        else:
            found = next(rest, found)
    return kept, found


def workdirs(args: Sequence[str], trials: Sequence[Sequence[str]]) -> list[str]:
    """The workdir of a run, or those of its trials; "" where none is named."""
    return [value([*args, *trial], "workdir") or "" for trial in trials or [()]]


def is_run(args: Sequence[str]) -> bool:
    """Whether the arguments start a run: those that begin with a verb do something else."""
    return not args or args[0].startswith("-")


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
            raise bad_flag(
                f"{found.split('://')[0]} carries a secret in plain text; "
                "pass it by reference: --secret_env=NAME=SECRET/KEY"
            )


def _read(text: str) -> Any:
    """The value of a flag as the trainer reads it: JSON where it is JSON, else text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
