"""Files that a user names: read, or refused in one line."""

from pathlib import Path

from common.exit_codes import ExitCode, RunError


def read(path: Path, what: str) -> str:
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
        raise RunError(ExitCode.BAD_FLAG, f"{what}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or a name that no file can have
        raise RunError(ExitCode.BAD_FLAG, f"{what} is no text file: {error}") from None
