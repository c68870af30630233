"""Judges many experiment files in one process: python -m tests.mistakes.judge BATTERY FILE.

TensorFlow is imported once; each case is a fork that trains two steps as the command line does. The
outcomes go to FILE as JSON.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from tests.mistakes import drawn
from tests.mistakes.mutations import Mutant, chosen
from tests.processes import ROOT

SHORT = ("--config.epochs=0", "--config.train_steps=2", "--overfit_batches=2")
BATTERIES = {
    "fast": (lambda: chosen(200)[::10], SHORT),
    "all": (lambda: chosen(200), SHORT),
    "drawn": (drawn.mutants, ("--fast_dev_run",)),
}
"""Name -> the files, and how each is tried."""
_LONGEST_SECS = 120


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of a mutant ended.

    Attributes:
        kind: of the mistake.
        name: of the mutant.
        code: of the process.
        output: all that it printed.
    """

    kind: str
    name: str
    code: int
    output: str

    @property
    def last_line(self) -> str:
        return (self.output.strip().splitlines() or [""])[-1]


def outcomes(battery: str, folder: pathlib.Path) -> list[Outcome]:
    """Judge a battery in a process of its own, which has used no device yet."""
    file = folder / "outcomes.json"
    command = [sys.executable, "-m", "tests.mistakes.judge", battery, str(file)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return [Outcome(**plain) for plain in json.loads(file.read_text())]


def judged(mutant: Mutant, folder: pathlib.Path, flags: Sequence[str]) -> Outcome:
    """Train a mutant in a fork."""
    place = pathlib.Path(tempfile.mkdtemp(prefix=mutant.kind, dir=folder))
    (place / "mine.py").write_text(mutant.text)
    if (pid := os.fork()) == 0:
        _train(place, flags)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(mutant.kind, mutant.name, code, (place / "log").read_text(errors="replace"))


def _train(place: pathlib.Path, flags: Sequence[str]) -> None:
    """Be the command line, to the end of the process."""
    signal.alarm(_LONGEST_SECS)
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 99
    with contextlib.suppress(SystemExit):
        from trainer.__main__ import main

        workdir = f"--workdir={place / 'run'}"
        code = main(["trainer", f"--config={place / 'mine.py'}", workdir, *flags])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    (make, flags), file = BATTERIES[sys.argv[1]], pathlib.Path(sys.argv[2])
    import trainer.run.loop  # noqa: F401 - once for all; no device is used before the forks

    with tempfile.TemporaryDirectory() as folder:
        found = [judged(mutant, pathlib.Path(folder), flags) for mutant in make()]
    file.write_text(json.dumps([dataclasses.asdict(outcome) for outcome in found], indent=1))


if __name__ == "__main__":
    main()
