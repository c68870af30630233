"""Reads what a run left in its workdir; standard library only."""

import dataclasses
import json
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
        config = json.loads((folder / "config.json").read_text())
        parent = Parent.from_plain(config.pop("parent")) if "parent" in config else None
        summary_file, metrics_file = folder / "summary.json", folder / "metrics.jsonl"
        summary = json.loads(summary_file.read_text()) if summary_file.is_file() else {}
        lines = metrics_file.read_text().splitlines() if metrics_file.is_file() else []
        return RunFiles(folder.resolve().name, config, summary, _curves(lines), parent)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            ExitCode.BAD_DATA, f"{folder} cannot be read: {error}; restore its files"
        ) from error


def _curves(lines: list[str]) -> Curves:
    curves: Curves = {}
    for line in lines:
        values = json.loads(line)
        for name, value in values.items():
            if name != "step" and isinstance(value, (int, float)):
                curves.setdefault(name, []).append((values["step"], value))
    return curves
