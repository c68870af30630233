"""How far a run is, from the files in its workdir."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from launch.spec import figures


@dataclasses.dataclass(frozen=True)
class Progress:
    """Of one run.

    Attributes:
        run: name of the job; of a sweep with the number of the trial, for example "rates/3".
        phase: of the job.
        step: that was reached; None: not known.
        total_steps: of the whole run; None: not known.
        examples_per_second: since the line before; None: not known.
        eta_secs: until the last step; None: not known, or it does not run.
        goodput: the share of its time in updates of the final state; None: not known.
        note: why nothing is known, or "".
    """

    run: str
    phase: str
    step: int | None = None
    total_steps: int | None = None
    examples_per_second: float | None = None
    eta_secs: float | None = None
    goodput: float | None = None
    note: str = ""


def of_run(run: str, phase: str, workdir: str, read: Callable[[str], str]) -> Progress:
    """The progress of a run.

    Args:
        run: its name.
        phase: of its job.
        workdir: where it runs.
        read: gives the text of a file; raises OSError where there is none.
    """
    place = workdir.rstrip("/")
    try:
        config = dict(json.loads(read(f"{place}/config.json")))
        lines = _lines(read(f"{place}/metrics.jsonl"))
    except (OSError, ValueError, TypeError) as error:
        return Progress(run, phase, note=str(error) if workdir else "it has no --workdir")
    step = max((int(line["step"]) for line in lines), default=0)
    total, rate = _total_steps(config, lines), _last(lines, "examples_per_second")
    eta = None
    if phase == "running" and total and rate:
        eta = (total - step) * int(config.get("global_batch_size", 1)) / rate
    known = figures.of_run(workdir, read)
    goodput = known.goodput if known else None
    return Progress(run, phase, step, total, rate, eta, goodput)


def _lines(text: str) -> list[dict[str, Any]]:
    """The lines of a log; the last one may just be written."""
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]


def _last(lines: Sequence[dict[str, Any]], name: str) -> float | None:
    found = (line[name] for line in reversed(lines) if isinstance(line.get(name), int | float))
    return next(found, None)


def _total_steps(config: dict[str, Any], lines: Sequence[dict[str, Any]]) -> int | None:
    """The steps of the run; of one that counts epochs, by what its log says of them."""
    if steps := config.get("train_steps"):
        return int(steps)
    for line in reversed(lines):
        if line.get("epoch"):
            # A begun step is made; less what is lost by dividing.
            return math.ceil(line["step"] * config.get("epochs", 0) / line["epoch"] - 1e-6)
    return None


_HEADER = ("RUN", "PHASE", "STEP", "EXAMPLES/S", "ETA", "GOODPUT", "")


def table(rows: Sequence[Progress]) -> str:
    """One line a run, under a header."""
    cells = [_HEADER, *map(_cells, rows)]
    pads = [*(max(len(row[column]) for row in cells) for column in range(6)), 0]
    return "\n".join(
        "  ".join(f"{cell:<{pad}}" for cell, pad in zip(row, pads, strict=True)).rstrip()
        for row in cells
    )


def _cells(row: Progress) -> tuple[str, ...]:
    step = "-" if row.step is None else f"{row.step}/{row.total_steps or '?'}"
    rate = "-" if row.examples_per_second is None else f"{row.examples_per_second:,.0f}"
    goodput = "-" if row.goodput is None else f"{row.goodput:.0%}"
    return row.run, row.phase, step, rate, _span(row.eta_secs), goodput, row.note


def _span(secs: float | None) -> str:
    if secs is None:
        return "-"
    minutes = round(secs / 60)
    return f"{secs:.0f} s" if secs < 90 else f"{minutes // 60} h {minutes % 60:02} min"
