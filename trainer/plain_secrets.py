"""Secrets in what the user writes: refused, because config.json, reports and logs repeat it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.exit_codes import ExitCode, RunError, holds_secret

_INSTEAD = (
    "carries a password or a signature in an address, which config.json and logs would repeat; "
    "leave it out and give the credentials to the environment"
)


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
    for name, text in _texts("config", config):
        if holds_secret(text):
            raise RunError(ExitCode.BAD_CONFIG, f"{name} {_INSTEAD}")


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text of a nested value, with the path to it."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(f"{name}.{key}", inner)
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from _texts(f"{name}[{index}]", inner)
