"""The measured time of a step and of a start of an earlier run, from the files in its workdir."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

_BEFORE_STEPS = ("start", "compile", "restore", "peers", "data")


@dataclasses.dataclass(frozen=True)
class Figures:
    """Measured by a run.

    Attributes:
        workdir: of that run.
        secs_per_step: mean over all its steps, seconds.
        start_secs: what one start costs until steps are made, seconds.
        goodput: the share of its time in updates of the final state.
        steps: of the whole run; 0 while it is not done.
        replicas: that computed it; 0 while it is not done.
    """

    workdir: str
    secs_per_step: float
    start_secs: float
    goodput: float
    steps: int = 0
    replicas: int = 0

    @property
    def hours(self) -> float:
        """What the same run takes without an interruption, hours; 0 where its length is unknown."""
        return (self.steps * self.secs_per_step + self.start_secs) / 3600 if self.steps else 0.0


def of_run(workdir: str, read: Callable[[str], str]) -> Figures | None:
    """The figures of a run, or None where it has left none.

    Args:
        workdir: where it ran.
        read: gives the text of a file; raises OSError where there is none.
    """
    try:
        attempts = json.loads(read(f"{workdir.rstrip('/')}/goodput.json"))
        made = sum(a["last_step"] - a["first_step"] for a in attempts)
        stepping = sum(a["seconds"]["step"] for a in attempts)
        starting = sum(a["seconds"].get(name, 0) for a in attempts for name in _BEFORE_STEPS)
        lived = attempts[-1]["ended"] - attempts[0]["started"]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    if made <= 0 or lived <= 0:
        return None
    done = _summary(workdir, read)
    goodput = float(dict(done.get("goodput") or {}).get("goodput", stepping / lived))
    return Figures(
        workdir,
        stepping / made,
        starting / len(attempts),
        goodput,
        int(done.get("step", 0)),
        int(done.get("replicas", 0)),
    )


def _summary(workdir: str, read: Callable[[str], str]) -> dict[str, Any]:
    try:
        return dict(json.loads(read(f"{workdir.rstrip('/')}/summary.json")))
    except (OSError, ValueError, TypeError):
        return {}
