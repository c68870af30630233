"""Finds an experiment by name or path and runs its `get_config()`."""

import ast
import contextlib
import dataclasses
import importlib
import pathlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from common import spelling
from common.exit_codes import ExitCode, RunError
from trainer.config import DatasetConfig, OptimizerConfig, TrainConfig
from trainer.config.conversion import from_plain, to_plain

_CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def load(name_or_file: str) -> TrainConfig:
    """Return the config of `trainer/configs/NAME.py`, or of a Python file anywhere.

    The folder of such a file is put on the import path, so that it may name custom parts:
    `"my_experiment:build_model"`.

    Raises:
        RunError: BAD_CONFIG where there is no such file, it does not import, or it gives no
            TrainConfig.
    """
    path = find(name_or_file)
    module = _import(path)
    if not callable(getattr(module, "get_config", None)):
        raise RunError(ExitCode.BAD_CONFIG, f"--config={path}: no get_config() in this file")
    with _naming_the_line(path):
        config = module.get_config()
    if not isinstance(config, TrainConfig):
        code = getattr(module.get_config, "__code__", None)  # of a function, not of any callable
        line = f":{code.co_firstlineno}" if code else ""
        returned = f"get_config() returned {type(config).__name__}, not TrainConfig"
        raise RunError(ExitCode.BAD_CONFIG, f"--config={path}{line}: {returned}")
    with _naming_the_line(path):
        return from_plain(TrainConfig, to_plain(config))


def imported(name_or_file: str) -> ModuleType:
    """Import an experiment, or a script of parts, and put its folder on the import path.

    Raises:
        RunError: as `load`.
    """
    return _import(find(name_or_file))


def names() -> list[str]:
    """Return the experiments that ship with the trainer."""
    return sorted(p.stem for p in _CONFIGS.glob("*.py") if p.stem != "__init__")


def docstring(name_or_file: str) -> str:
    """Return what an experiment says about itself; "" where it says nothing."""
    return ast.get_docstring(ast.parse(find(name_or_file).read_text())) or ""


def find(name_or_file: str) -> pathlib.Path:
    """Return the file of an experiment.

    Raises:
        RunError: BAD_CONFIG where there is none.
    """
    if name_or_file in names():
        return _CONFIGS / f"{name_or_file}.py"
    path = pathlib.Path(name_or_file)
    if path.is_file():
        return path.resolve()
    if path.suffix == ".py":
        raise RunError(ExitCode.BAD_CONFIG, f"--config={name_or_file}: there is no such file")
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"--config={name_or_file!r} is neither a file nor a known config; "
        f"{spelling.did_you_mean(name_or_file, names())} known: {', '.join(names())}",
    )


def _import(path: pathlib.Path) -> ModuleType:
    if path.parent == _CONFIGS:
        return importlib.import_module(f"trainer.configs.{path.stem}")
    sys.path.insert(0, str(path.parent))
    with _naming_the_line(path):
        return importlib.import_module(path.stem)


@contextlib.contextmanager
def _naming_the_line(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}{_nearest_field(str(error))}"
        where = f"--config={path}{_place(error, path)}"
        raise RunError(ExitCode.BAD_CONFIG, f"{where}: {reason}") from error


def _nearest_field(message: str) -> str:
    """Return a hint where a field of a config was written wrongly."""
    kinds = {kind.__name__: kind for kind in (TrainConfig, DatasetConfig, OptimizerConfig)}
    wrong = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", message)
    if wrong is None or wrong[1] not in kinds:
        return ""
    names = [field.name for field in dataclasses.fields(kinds[wrong[1]])]
    return "; " + (spelling.did_you_mean(wrong[2], names) or f"allowed: {', '.join(names)}")


def _place(error: BaseException, path: pathlib.Path) -> str:
    """Return the line of the user's file at which the import failed: ":12"."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    line, traceback = "", error.__traceback__
    while traceback:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = f":{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return line
