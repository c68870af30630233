"""Secrets in what the user writes and in what errors repeat: neither reaches a file or a log."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from common.exit_codes import ExitCode, RunError, find_secret, holds_secret, is_secret_name, redact

_INSTEAD = (
    "carries a password, a token or a signature, which config.json and logs would repeat; "
    "leave it out and give the credentials to the environment"
)
# A shorter value is an ordinary word, and would be hidden wherever it is written.
_SHORTEST = 8


def refuse(argv: Sequence[str], config: Mapping[str, Any]) -> None:
    """Refuse a command line or a config that would leave a secret in the workdir.

    Args:
        argv: the command line.
        config: the config as plain values.

    Raises:
        RunError: BAD_FLAG or BAD_CONFIG, naming the flag or field and never its value.
    """
    for arg in argv:
        if holds_secret(arg):
            raise RunError(ExitCode.BAD_FLAG, f"{arg.partition('=')[0]} {_INSTEAD}")
    if name := find_secret("config", config):
        raise RunError(ExitCode.BAD_CONFIG, f"{name} {_INSTEAD}")


def hide(text: str, environment: Mapping[str, str]) -> str:
    """Return the text without secrets: in its addresses, and the values of variables that hold one.

    Messages of clients quote the token that was refused; `$NAME` stands in its place.
    """
    values = {v: n for n, v in environment.items() if is_secret_name(n) and len(v) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, f"${values[value]}")
    return redact(text)


def complain(text: str) -> None:
    """Print a text to the standard error, without the secrets of this process."""
    with contextlib.suppress(OSError):  # a closed pipe, a full disk: the exit code still says it
        print(hide(text, os.environ), file=sys.stderr, flush=True)
