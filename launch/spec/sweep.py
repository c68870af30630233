"""Sweeps: a file of trials becomes the arguments of each, and one line of results each."""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import spelling
from launch.spec.exit_policy import explain_exit
from launch.spec.user_input import bad_flag, read_yaml

MAX_BYTES = 120_000  # one argument of a Linux process holds 128 KiB
MAX_TRIALS = 10_000
_KEYS = ("grid", "list")
Trials = Sequence[Sequence[str]]


def load(path: Path, workdir: str) -> tuple[tuple[str, ...], ...]:
    """The trainer arguments of every trial.

    The file is YAML or JSON with `grid:` (every combination of the lists under it) or `list:`
    (one mapping a trial). Keys are config fields without `config.`.

    Args:
        path: the sweep file.
        workdir: the sweep's workdir; each trial gets a folder of its own below it.

    Raises:
        RunError: BAD_FLAG with the fault of the file.
    """
    parsed = read_yaml(path, f"--sweep={path}")
    try:
        trials = _trials(parsed[0] if len(parsed) == 1 else None)
        flags = tuple(
            (
                *(f"--config.{field}={_text(field, value)}" for field, value in trial.items()),
                f"--workdir={workdir.rstrip('/')}/trial-{index}",
            )
            for index, trial in enumerate(trials)
        )
    except ValueError as error:
        raise bad_flag(f"--sweep={path}: {error}") from None
    if len(json.dumps(flags)) > MAX_BYTES:
        raise bad_flag(f"--sweep={path}: {len(flags)} trials are too many; split the file")
    return flags


def results(
    trials: Trials, exit_codes: Mapping[int, int], read: Callable[[str], str]
) -> tuple[str, ...]:
    """One line for each trial: what was changed, how it ended, what it reached.

    Args:
        trials: the trainer arguments of each trial, the workdir last.
        exit_codes: the newest exit code of each trial that ended.
        read: gives the text of a file; raises OSError or ValueError where it cannot.
    """
    lines = []
    for index, trial in enumerate(trials):
        changed = " ".join(arg.removeprefix("--config.") for arg in trial[:-1])
        workdir = trial[-1].removeprefix("--workdir=")
        lines.append(f"{index:>3}  {changed}  {_result(workdir, exit_codes.get(index), read)}")
    return tuple(lines)


def _result(workdir: str, code: int | None, read: Callable[[str], str]) -> str:
    if code is None:
        return "no result"
    if code:
        return f"exit code {code}: {explain_exit(code)[0]}"
    try:
        summary = json.loads(read(f"{workdir}/summary.json"))
    except (OSError, ValueError) as error:
        return f"done; no summary: {error}"
    metrics = summary.get("eval") or summary.get("train") or {}
    return " ".join(["done", *(f"{name}={value:.5g}" for name, value in metrics.items())])


def _trials(content: object) -> list[dict[str, Any]]:
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError("it must have exactly one key, `grid:` or `list:`")
    [(key, value)] = content.items()
    if key not in _KEYS:
        raise ValueError(spelling.unknown("key", str(key), _KEYS))
    trials = _combine(value) if key == "grid" else value
    if not isinstance(trials, list) or not trials or not all(isinstance(t, dict) for t in trials):
        raise ValueError(f"`{key}` holds no trials; see docs/launching.md")
    return trials


def _combine(grid: object) -> list[dict[str, Any]]:
    if not isinstance(grid, dict) or not all(isinstance(v, list) and v for v in grid.values()):
        raise ValueError("every field of `grid` needs a list of values")
    count = math.prod(map(len, grid.values()))
    if count > MAX_TRIALS:
        raise ValueError(f"{count} trials are too many; at most {MAX_TRIALS}")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _text(field: str, value: object) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError) as error:  # a date, bytes, a set; a list that holds itself
        raise ValueError(
            f"{field}={value} is no text, number, list or mapping ({error}); put it in quotes"
        ) from None
