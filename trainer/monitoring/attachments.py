"""What a tracker keeps of a run besides its numbers."""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.report.page import flat
from trainer.report.run_files import read_summary

_FILES = ("config.json", "metrics.jsonl", "summary.json", "report.html")


def require(module: str) -> None:
    """Refuse a tracker whose client is not there.

    Raises:
        ImportError: with the extra to install.
    """
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"it needs the package {module}: pip install 'lockstep[{module}]'")


def config(workdir: Path) -> dict[str, Any]:
    """Return the fields of the config as they are written on a command line."""
    return dict(flat(json.loads((workdir / "config.json").read_text())))


def ended(workdir: Path) -> dict[str, Any]:
    """Return "status", "" without a summary, and the digests of the certificate."""
    summary: Mapping[str, Any] = read_summary(workdir)
    return {"status": summary.get("status", ""), **dict(flat(summary.get("certificate", {})))}


def files(workdir: Path) -> list[Path]:
    """Return the files to attach: config, numbers, summary, report and pictures."""
    found = [workdir / name for name in _FILES]
    return [path for path in found if path.is_file()] + sorted(workdir.glob("pictures/**/*.png"))
