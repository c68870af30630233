"""What a user types and the files that a user names: read, or refused in one line."""

from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError


def bad_flag(reason: str) -> RunError:
    """The error of a command line, or of a file that it names, that has to be corrected."""
    return RunError(ExitCode.BAD_FLAG, reason)


def read_text(path: Path, what: str) -> str:
    """The text of a file.

    Args:
        path: the file.
        what: how messages name it, for example the flag that gave it.

    Raises:
        RunError: it cannot be read or is no text; BAD_FLAG.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise bad_flag(f"{what}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or a name that no file can have
        raise bad_flag(f"{what} is no text file: {error}") from None


def read_yaml(path: Path, what: str) -> list[Any]:
    """The documents of a YAML file.

    Raises:
        RunError: it cannot be read or is not YAML; BAD_FLAG.
    """
    import yaml

    text = read_text(path, what)
    try:
        return list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-01
        raise bad_flag(f"{what} is not YAML: {error}") from None
