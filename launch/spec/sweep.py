"""Sweeps: a file of trials becomes the arguments of each, and one line of results each."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import spelling
from launch.spec.draws import draw
from launch.spec.exit_policy import explain_exit
from launch.spec.halving import Halving, rank
from launch.spec.user_input import bad_flag, read_yaml

MAX_BYTES = 120_000  # one argument of a Linux process holds 128 KiB
MAX_TRIALS = 10_000
_ONE_KEY = "it must have exactly one of the keys `grid:`, `list:` and `random:`"
_KEYS = ("grid", "list", "random")
_LENGTH = ("train_steps", "epochs")
Trials = Sequence[Sequence[str]]


def load(path: Path, workdir: str) -> tuple[tuple[tuple[str, ...], ...], tuple[Halving, ...]]:
    """The trainer arguments of every trial, and how trials are left out: one rule or none.

    The file is YAML or JSON with `grid:` (every combination of the lists under it), `list:` (one
    mapping a trial) or `random:` (draws), and perhaps `halving:`. Keys are config fields without
    `config.`.

    Args:
        path: the sweep file.
        workdir: the sweep's workdir; each trial gets a folder of its own below it.

    Raises:
        RunError: BAD_FLAG with the fault of the file.
    """
    parsed = read_yaml(path, f"--sweep={path}")
    try:
        trials, halving = _trials(parsed[0] if len(parsed) == 1 else None)
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
    return flags, halving


def results(
    trials: Trials,
    exit_codes: Mapping[int, int],
    read: Callable[[str], str],
    halving: Sequence[Halving] = (),
) -> tuple[str, ...]:
    """One line for each trial: what was changed, how it ended, what it reached.

    Args:
        trials: the trainer arguments of each trial, the workdir last.
        exit_codes: the newest exit code of each trial that ended.
        read: gives the text of a file; raises OSError or ValueError where it cannot.
        halving: the rule of a sweep whose lines are ranked, the best first; or none.
    """
    places = []
    for index, trial in enumerate(trials):
        changed = " ".join(arg.removeprefix("--config.") for arg in trial[:-1])
        summary, said = _ended(trial[-1].removeprefix("--workdir="), exit_codes.get(index), read)
        metrics = summary.get("eval") or summary.get("train") or {}
        reached = [f"step {summary['step']}"] if halving and summary else []
        reached += [f"{name}={value:.5g}" for name, value in metrics.items()]
        line = f"{index:>3}  {changed}  {' '.join([said, *reached])}"
        value = metrics.get(halving[0].metric) if halving else None
        place = rank(halving[0].mode, value, index) if halving else (False, 0.0, index)
        places.append((-summary.get("step", 0) if halving else 0, place, line))
    return tuple(line for *_, line in sorted(places))


def _ended(
    workdir: str, code: int | None, read: Callable[[str], str]
) -> tuple[dict[str, Any], str]:
    """The summary of a trial, or {}, and how the trial ended."""
    if code is None:
        return {}, "no result"
    if code:
        return {}, f"exit code {code}: {explain_exit(code)[0]}"
    try:
        return json.loads(read(f"{workdir}/summary.json")), "done"
    except (OSError, ValueError) as error:
        return {}, f"done; no summary: {error}"


def _trials(content: object) -> tuple[list[dict[str, Any]], tuple[Halving, ...]]:
    if not isinstance(content, dict):
        raise ValueError(_ONE_KEY)
    rest = dict(content)
    rule = rest.pop("halving", None)
    if len(rest) != 1:
        raise ValueError(_ONE_KEY)
    [(key, value)] = rest.items()
    if key not in _KEYS:
        raise ValueError(spelling.unknown("key", str(key), (*_KEYS, "halving")))
    trials = {"grid": _combine, "random": _drawn}.get(key, lambda given: given)(value)
    if not isinstance(trials, list) or not trials or not all(isinstance(t, dict) for t in trials):
        raise ValueError(f"`{key}` holds no trials; see docs/launching.md")
    return trials, () if rule is None else (_halving(rule, trials),)


def _halving(rule: object, trials: Sequence[Mapping[str, Any]]) -> Halving:
    known = [field.name for field in dataclasses.fields(Halving)]
    made = _checked("halving", rule, known, ("metric", "train_steps"))
    for name in _LENGTH:
        if any(name in trial for trial in trials):
            raise ValueError(f"`halving` says how long trials are; take {name} out of them")
    return Halving(**made)


def _drawn(asked: object) -> list[dict[str, Any]]:
    made = {"seed": 0} | _checked(
        "random", asked, ("trials", "seed", "fields"), ("trials", "fields")
    )
    count, seed, space = made["trials"], made["seed"], made["fields"]
    if type(count) is not int or not 1 <= count <= MAX_TRIALS:
        raise ValueError(f"`random.trials` is {count!r}; a number of trials up to {MAX_TRIALS}")
    if type(seed) is not int:
        raise ValueError(f"`random.seed` is {seed!r}; a whole number")
    if not isinstance(space, dict) or not space:
        raise ValueError("`random.fields` needs a mapping from fields to what is drawn")
    return [draw(space, seed, trial) for trial in range(count)]


def _checked(
    group: str, given: object, known: Sequence[str], needed: Sequence[str]
) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError(f"`{group}` needs {', '.join(needed)}")
    for key in given:
        if key not in known:
            raise ValueError(spelling.unknown(f"key of `{group}`", str(key), known))
    if missing := [key for key in needed if key not in given]:
        raise ValueError(f"`{group}.{missing[0]}` is missing")
    return given


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
