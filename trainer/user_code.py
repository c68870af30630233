"""Which line of the user's code an error comes from."""

import functools
import re
import site
import sys
import sysconfig
import traceback
from pathlib import Path

from common import redaction
from common.exit_codes import ExitCode, RunError

_OURS = [Path(__file__).parents[1] / package for package in ("trainer", "common", "launch")]
_FRAME = re.compile(r'File "(.+?)", line (\d+)')
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300


def place_of(error: BaseException) -> str:
    """Return the innermost line that is neither ours nor of an installed package: "file.py:12".

    Returns:
        "" where there is none.
    """
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    # A compiled step fails far from the code that it was made of; its message tells where that is.
    frames += _FRAME.findall(str(error))
    users = [f"{name}:{line}" for name, line in frames if is_users(name)]
    return users[-1] if users else ""


def calling_line() -> str:
    """Return the innermost line of the user's on the way to the caller: "file.py:12", or ""."""
    frames = [(f.filename, f.lineno) for f in traceback.extract_stack()]
    users = [f"{name}:{line}" for name, line in frames if is_users(name)]
    return users[-1] if users else ""


def reason_of(error: BaseException) -> str:
    """Return what went wrong as one line: the end of a message that tells a whole stack."""
    text = _COLOR.sub("", str(error))
    if text == "None values not supported.":
        text += " Does a function of yours end without `return`?"
    *_, text = re.split(r'File ".+?", line \d+, in .+\n', text)
    return f"{type(error).__name__}: {' '.join(text.split())[:_LONGEST]}"


def tell(error: Exception) -> ExitCode:
    """Print the stack of an error that nobody foresaw, and its last line; returns its exit code."""
    if (refusal := _refusal_inside(error)) is not None:
        redaction.complain(refusal.code.last_line(refusal.reason))
        return refusal.code
    redaction.complain("".join(traceback.format_exception(error)).rstrip())
    reason = reason_of(error)
    if place := place_of(error):
        reason = f"{place}: {reason}"
    redaction.complain(ExitCode.BUG.last_line(f"{reason}; the stack is above"))
    return ExitCode.BUG


def _refusal_inside(error: BaseException) -> RunError | None:
    """Return the refusal that Keras repeats as an error of its own, with the layer's arguments."""
    context = error.__context__
    while context is not None:
        if isinstance(context, RunError) and context.reason in " ".join(str(error).split()):
            return context
        context = context.__context__
    return None


@functools.cache
def is_users(file: str) -> bool:
    """Whether a file was written by the user; generated code was not."""
    path = Path(file)
    if path.name.startswith("__autograph_generated") or file.startswith(_others()):
        return False
    return path.is_file() and not str(path.resolve()).startswith(_others())


@functools.cache
def _others() -> tuple[str, ...]:
    """Return the folders whose files are not the user's."""
    installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")]
    installed += [*site.getsitepackages(), site.getusersitepackages()]
    folders = [*_OURS, *map(Path, installed), Path(sys.prefix) / "lib"]
    return tuple(f"{folder}/" for each in folders for folder in (each, each.resolve()))
