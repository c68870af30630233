"""Which line of the user's code an error comes from."""

import ast
import contextlib
import functools
import importlib.util
import inspect
import operator
import re
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from common import redaction
from common.exit_codes import ExitCode, RunError

_OURS = [Path(__file__).parents[1] / package for package in ("trainer", "common", "launch")]
# It stands between each `tf.function` and its caller, and does nothing of its own.
_PASSES_ON = "/trainer/engine/inlined.py"
_FRAME = re.compile(r'File "(.+?)", line (\d+)')
# What TensorFlow says of a whole number at which nothing stands, on the way there or back.
_NO_ENTRY = re.compile(
    r"(?:indices|segment_ids)\[.+?\] = (-?\d+) is (?:not in|out of range) \[0, (\d+)\)"
)
# There parts compute with the user's numbers; nothing of ours looks anything up by them.
_MICROBATCHES = tuple(
    str(_OURS[0] / "engine" / f"{name}.py")
    for name in ("virtual_replica", "forward_step", "whole_batch")
)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300
GLOBAL_DRAW = (
    "it draws from TensorFlow's global generator, which is no state of the run; draw with "
    "keras.random, or with tf.random.stateless_* and microbatch.seed()"
)
"""In place of TensorFlow's advice, which is to set a seed: the draws would still be no state."""


def mistake(error: BaseException) -> str:
    """Return the place and the reason of an error that the user's code has made; "" for any other.

    It is the user's where nothing of ours was called after the user's code; where a part of the
    user's does not have the form in which Keras, or the trainer, calls it; and where a number in
    the data is larger than what it selects from.
    """
    known, users = _lines(error)
    if known and is_users(known[-1][0]):
        callers = [place for place in users if place != users[-1]]
        called = f"; called from {callers[-1]}" if callers else ""
        return f"{users[-1]}: {reason_of(error)}{called}"
    found = _NO_ENTRY.search(str(error))
    if found and any(name in _MICROBATCHES for name, _ in known):
        return (
            f"a label or an id in the data is {found[1]}, and what it selects from has 0 to "
            f"{int(found[2]) - 1} ({_node(error)}); give the model more outputs or a larger "
            "vocabulary (config.model.args), or correct the data"
        )
    if isinstance(error, TypeError) and (function := _uncallable(error)):
        return f"{function}: {reason_of(error)}"
    if (holder := _holder(error)) is None:
        return ""
    place, frame = defined(type(holder)), _innermost(error)
    if isinstance(error, NotImplementedError):
        return f"{place}: {type(holder).__name__} has no method {frame.f_code.co_name}; write it"
    return f"{place}: {type(holder).__name__}: {reason_of(error)}"


def _node(error: BaseException) -> str:
    found = re.search(r"{{node (\S+)}}", str(error))
    return found[1] if found else "an operation without a name"


def place_of(error: BaseException) -> str:
    """Return the innermost line of the user's on the way to an error: "file.py:12", or ""."""
    _, users = _lines(error)
    return users[-1] if users else ""


@contextlib.contextmanager
def refusing_exit() -> Iterator[None]:
    """Refuse to let the user's code end the process: with 0 it would pass for a run that is done.

    Raises:
        RunError: BAD_CONFIG with the line.
    """
    try:
        yield
    except SystemExit as error:
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{place_of(error) or 'the experiment'}: exit({error.code!r}) before the end of the "
            "run; raise an error, or let the config say when a run ends",
        ) from error


@contextlib.contextmanager
def answerable(part: object) -> Iterator[None]:
    """Refuse a part of the user's whose answer cannot be used in the block.

    Raises:
        RunError: BAD_CONFIG with the place where its class is written.
    """
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        if place_of(error) or not (place := defined(type(part))):
            raise
        raise RunError(
            ExitCode.BAD_CONFIG, f"{place}: {type(part).__name__}: {reason_of(error)}"
        ) from error


def defined(thing: Any) -> str:
    """Return where a class or function is written, if by the user: "file.py:12", else ""."""
    try:
        file = inspect.getsourcefile(thing) or ""
        return f"{file}:{inspect.findsource(thing)[1] + 1}" if is_users(file) else ""
    except (TypeError, OSError):  # built in, or typed into a shell
        return ""


def _lines(error: BaseException) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the lines that are ours or the user's on the way to an error, and only the user's."""
    frames = [(f.filename, str(f.lineno)) for f in traceback.extract_tb(error.__traceback__)]
    # A compiled step fails far from the code that it was made of; its message tells where that is.
    frames += _FRAME.findall(str(error))
    known = [frame for frame in frames if is_users(frame[0]) or _is_ours(frame[0])]
    return known, [f"{name}:{line}" for name, line in known if is_users(name)]


def _holder(error: BaseException) -> object | None:
    """Return the object of a class of the user's in whose method, an inherited one, it arose."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if _is_ours(frame.f_code.co_filename):
            found = None  # what was called before has called us
        holder = frame.f_locals.get("self")
        found = holder if holder is not None and defined(type(holder)) else found
    return found


def _innermost(error: BaseException) -> FrameType:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame


def _uncallable(error: TypeError) -> str:
    """Return where a function of the user's is written that was called with other arguments."""
    called = re.match(r"([\w.]+)\(\) (?:takes|missing|got)\b", str(error))
    if called is None:
        return ""
    for module in list(sys.modules.values()):
        if is_users(getattr(module, "__file__", None) or ""):
            with contextlib.suppress(AttributeError):
                return defined(operator.attrgetter(called[1])(module))
    return ""


def calling_line() -> str:
    """Return the innermost line of the user's on the way to the caller: "file.py:12", or ""."""
    frames = [(f.filename, f.lineno) for f in traceback.extract_stack()]
    users = [f"{name}:{line}" for name, line in frames if is_users(name)]
    return users[-1] if users else ""


def reason_of(error: BaseException) -> str:
    """Return what went wrong as one line: the end of a message that tells a whole stack."""
    text = _COLOR.sub("", str(error))
    if isinstance(error, RuntimeError) and "Random ops require a seed" in text:
        return GLOBAL_DRAW
    if text == "None values not supported.":
        text += " Does a function of yours end without `return`?"
    *_, text = re.split(r'File ".+?", line \d+, in .+\n|Error encountered:', text)
    text = text.partition("Arguments received by")[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:_LONGEST]}"


def tell(error: Exception) -> ExitCode:
    """Print the last line of an error that nobody foresaw; returns its exit code.

    An error of the user's code is theirs to correct: one line, with the place. Any other is a
    bug of ours, and its stack is printed above.
    """
    if (refusal := _refusal_inside(error)) is not None:
        redaction.complain(refusal.code.last_line(refusal.reason))
        return refusal.code
    if found := mistake(error):
        redaction.complain(ExitCode.BAD_CONFIG.last_line(found))
        return ExitCode.BAD_CONFIG
    redaction.complain("".join(traceback.format_exception(error)).rstrip())
    place = place_of(error)
    reason = f"{place}: {reason_of(error)}" if place else reason_of(error)
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


def _is_ours(file: str) -> bool:
    return file.startswith(_folders(*_OURS)) and not file.endswith(_PASSES_ON)


@functools.cache
def imported(tree: ast.AST, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Give the names of the modules that the text of a module imports, and of what may be one."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            with contextlib.suppress(ImportError):  # beyond the top
                base = importlib.util.resolve_name(base, package) if node.level else base
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


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
    return _folders(*folders)


@functools.cache
def _folders(*paths: Path) -> tuple[str, ...]:
    return tuple(f"{folder}/" for path in paths for folder in (path, path.resolve()))
