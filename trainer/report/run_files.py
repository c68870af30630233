"""Reads what a run left in its workdir; standard library only."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.exit_codes import ExitCode, RunError
from trainer.lineage import Parent

Curves = dict[str, list[tuple[float, float]]]


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """A run as its files tell it.

    Attributes:
        name: of the folder.
        config: plain.
        parent: what it was started from, or None.
        summary: empty where the run has not ended.
        curves: metric -> (step, value).
    """

    name: str
    config: dict[str, Any]
    summary: dict[str, Any]
    curves: Curves
    parent: Parent | None = None

    def last(self, metric: str) -> float | None:
        """Return the last value of a metric, or None."""
        points = self.curves.get(metric)
        return points[-1][1] if points else None


def read_run(folder: Path) -> RunFiles:
    """Return what is in a workdir.

    Raises:
        RunError: BAD_FLAG where it holds no run, BAD_DATA where a file cannot be read.
    """
    if not (folder / "config.json").is_file():
        raise RunError(
            ExitCode.BAD_FLAG, f"{folder} holds no run: config.json is missing; give a --workdir"
        )
    try:
        config = dict(json.loads((folder / "config.json").read_text()))
        parent = Parent.from_plain(config.pop("parent")) if "parent" in config else None
        curves = _curves(read_lines(folder / "metrics.jsonl"))
        return RunFiles(folder.resolve().name, config, read_summary(folder), curves, parent)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            ExitCode.BAD_DATA, f"{folder} cannot be read: {error}; restore its files"
        ) from error


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a run; empty where it has not ended."""
    path = folder / "summary.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a `metrics.jsonl`; a last one that is just being written is left out.

    Raises:
        ValueError: another line is no JSON.
    """
    text = path.read_text() if path.is_file() else ""
    *lines, last = text.split("\n")
    found = [json.loads(line) for line in lines]
    with contextlib.suppress(ValueError):
        found.append(json.loads(last))
    return found


def by_step(lines: Iterable[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return step -> all that the lines say of it."""
    found: dict[int, dict[str, Any]] = {}
    for line in lines:
        found.setdefault(line["step"], {}).update(line)
    return found


def _curves(lines: list[dict[str, Any]]) -> Curves:
    curves: Curves = {}
    for values in lines:
        for name, value in values.items():
            if name != "step" and isinstance(value, (int, float)):
                curves.setdefault(name, []).append((values["step"], value))
    return curves
