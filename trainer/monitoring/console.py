"""What a person sees while a run goes on: a bar on a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_MOST_OF_A_VECTOR = 8


def first_of(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values without those of a long vector after its first few, "f1/8" and on."""
    return {n: v for n, v in values.items() if not _is_far(n.rpartition("/")[2])}


def _is_far(index: str) -> bool:
    return index.isdigit() and int(index) >= _MOST_OF_A_VECTOR


def describe(step: int, total_steps: int, values: Mapping[str, float]) -> str:
    """Return "12:00:01 step 500/2350  train/loss 0.0312  train/accuracy 0.991".

    Names below "time/" are left to the files and charts: they would fill the screen.
    """
    named = {n: value for n, value in first_of(values).items() if not n.startswith("time/")}
    shown = "  ".join(f"{name} {value:.4g}" for name, value in named.items())
    return f"{time.strftime('%H:%M:%S')} step {step}/{total_steps}  {shown}"


class Lines:
    """One line for each set of values, on standard error."""

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Print one line."""
        print(describe(step, self._total_steps, values), file=sys.stderr, flush=True)

    def progress(self, step: int, loss: float, steps_per_second: float) -> None:
        """Nothing: a log file wants results only."""

    def close(self) -> None:
        """Nothing is buffered."""


class Bar:
    """The same lines above a bar with rate, time left and loss."""

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[rate]:.0f} steps/s"),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]:.4g}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("train", total=total_steps, rate=0.0, loss=float("nan"))
        self._bar.start()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Print one line above the bar."""
        line = describe(step, self._total_steps, values)
        self._bar.console.print(line, highlight=False, markup=False)

    def progress(self, step: int, loss: float, steps_per_second: float) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step, loss=loss, rate=steps_per_second)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def make_console(total_steps: int) -> Lines | Bar:
    """Return a bar where standard error is a terminal, and lines where it is not."""
    return Bar(total_steps) if sys.stderr.isatty() else Lines(total_steps)
