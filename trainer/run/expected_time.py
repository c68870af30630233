"""How long a run will take, as far as what ran before says; standard library only."""

import json
import re
from pathlib import Path

from trainer.config import experiment_file


def expected_time(workdir: str, experiment: str, total_steps: int) -> str:
    """Return what is known of the time that is left.

    Args:
        workdir: folder of the run, which may have begun; its own pace is the best guess.
        experiment: name or file, whose docstring may say what the whole run took elsewhere.
        total_steps: updates in the whole run.
    """
    if pace := _pace(Path(workdir) / "goodput.json"):
        step, secs_per_step = pace
        left = max(0, total_steps - step)
        return f"{left * secs_per_step:.0f} s for {left:,} steps, at the pace of this workdir"
    if said := re.search(
        r"^Time: (.+)$", experiment_file.docstring(experiment), flags=re.MULTILINE
    ):
        return f"{said[1]} (so the experiment says)"
    return "not known: nothing has run in --workdir yet"


def _pace(path: Path) -> tuple[int, float] | None:
    """Return the step that was reached and seconds a step; None where no step was made."""
    try:
        attempts = json.loads(path.read_text())
        made = [a for a in attempts if a["last_step"] > a["first_step"]]
        steps = sum(a["last_step"] - a["first_step"] for a in made)
        secs = sum(a["seconds"].get(b, 0.0) for a in made for b in ("step", "data"))
        return made[-1]["last_step"], secs / steps
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
