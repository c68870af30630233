"""The rungs of a sweep in its workdir: each is written down before a trial goes on from it.

A summary is that of the newest rung of its trial. So that a sweep that was killed, in any moment,
finds again who went on, `rung-N.json` keeps what all trials reached in rung N. The ranking follows
from the seed, which makes the trials, and from these numbers of their summaries alone.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from common import files
from common.exit_codes import ExitCode, RunError
from launch.code import remote_files
from launch.spec import halving
from launch.spec.exit_policy import FOR_GOOD
from launch.spec.halving import Rung, Values
from launch.spec.job import JobSpec
from launch.spec.status import Phase

RunTrials = Callable[[Sequence[int], Sequence[str]], list[tuple[Phase, str]]]
"""(numbers of trials, further arguments) -> how each ended."""
CodeOf = Callable[[int], int | None]
"""Trial -> its newest exit code."""


@dataclasses.dataclass(frozen=True)
class Rungs:
    """What the trials of one sweep have reached.

    Attributes:
        spec: of the sweep.
        directory: in which it was submitted.
    """

    spec: JobSpec
    directory: str

    def read(self, number: int) -> Values | None:
        """Return what the trials reached in a rung; None: it is not over.

        Raises:
            RunError: BAD_CONFIG where it is of another sweep.
            OSError: the store is out of reach.
        """
        path = self._path(number)
        try:
            found = json.loads(self._text(path))
        except FileNotFoundError:
            return None
        if found["sweep"] != self._digest():
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"{path} is of another sweep; use another --workdir, or bring its file back",
            )
        return {int(trial): value for trial, value in found["reached"].items()}

    def write(self, number: int, steps: int, values: Values) -> None:
        """Write down that a rung is over."""
        told = {
            "sweep": self._digest(),
            "steps": steps,
            "metric": self.spec.halving[0].metric,
            "reached": {str(trial): values[trial] for trial in sorted(values)},
        }
        path, text = self._path(number), json.dumps(told, indent=2) + "\n"
        if "://" in path:
            remote_files.write(path, text.encode())  # a store shows an object when it is whole
        else:
            files.write_text(Path(self.directory, path), text, durable=True)

    def reached(self, trial: int) -> float | None:
        """Return what a trial reached in the rung that it has ended; None: no finite number.

        Raises:
            RunError: BAD_CONFIG where its evaluation has no such metric.
            OSError: the summary cannot be read.
        """
        path = f"{_workdir(self.spec, trial)}/summary.json"
        found = json.loads(self._text(path)).get("eval", {})
        metric = self.spec.halving[0].metric
        if metric not in found:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"`halving.metric` is {metric!r}, and {path} has {', '.join(found) or 'none'}",
            )
        value = float(found[metric])
        return value if math.isfinite(value) else None

    def has_begun(self, trial: int) -> bool:
        """Whether a trial has ever saved its state.

        Raises:
            OSError: the store is out of reach.
        """
        path = f"{_workdir(self.spec, trial)}/checkpoints"
        return remote_files.exists(path) if "://" in path else Path(self.directory, path).exists()

    def _digest(self) -> str:
        return halving.digest(self.spec.halving[0], self.spec.trials)

    def _path(self, number: int) -> str:
        return f"{_workdir(self.spec, 0).rpartition('/')[0]}/rung-{number}.json"

    def _text(self, path: str) -> str:
        if "://" in path:
            return remote_files.read_text(path)
        return Path(self.directory, path).read_text(encoding="utf-8")


def climb(records: Rungs, run_trials: RunTrials, code_of: CodeOf) -> tuple[Phase, str]:
    """Run trials from rung to rung; a rung that an earlier job has written down is over.

    Returns:
        How the sweep ends, and its best trial.

    Raises:
        RunError, OSError: as `Rungs`.
    """
    spec = records.spec
    rule, trials = spec.halving[0], [*range(spec.units)]
    rungs = halving.rungs(rule, spec.units)
    counts = [*(rung.trials for rung in rungs[1:]), 1]
    for number, (rung, num_going_on) in enumerate(zip(rungs, counts, strict=True)):
        values = records.read(number)
        if values is None:
            values, (phase, reason) = _run(records, trials, rung, run_trials, code_of)
            if phase != "succeeded":
                return phase, reason
            records.write(number, rung.steps, values)
        trials = halving.chosen(rule, values, num_going_on)
        told = f"{rule.metric}={values[trials[0]]:.5g} at step {rung.steps}"
    return "succeeded", f"best trial: {trials[0]}, {told}"


def _run(
    records: Rungs, trials: Sequence[int], rung: Rung, run_trials: RunTrials, code_of: CodeOf
) -> tuple[Values, tuple[Phase, str]]:
    """Bring trials to a rung; one that failed by itself has no value, another end ends all."""
    metric = records.spec.halving[0].metric
    ends = run_trials(trials, (f"--config.train_steps={rung.steps}",))
    values: dict[int, float | None] = {}
    for trial, (phase, reason) in zip(trials, ends, strict=True):
        if phase == "succeeded":
            values[trial] = records.reached(trial)
        elif reason == FOR_GOOD and _is_its_own(records, trial, code_of(trial)):
            values[trial] = None
        else:
            return {}, (phase, f"trial {trial}: {reason}; submit again with the same --workdir")
    if set(values.values()) == {None}:
        return {}, ("failed", f"no trial reached step {rung.steps} with a finite {metric}")
    return values, ("succeeded", "")


def _is_its_own(records: Rungs, trial: int, code: int | None) -> bool:
    """Whether a failure belongs to the trial: it diverged, or was refused before it began.

    One that is refused later (edited code, other data) would go on if that were brought back.
    """
    return code == ExitCode.BUG or not records.has_begun(trial)


def _workdir(spec: JobSpec, trial: int) -> str:
    return spec.trials[trial][-1].removeprefix("--workdir=")
