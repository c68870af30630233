"""`Task.on_evaluation`: the user's Python at a boundary, and what it is given."""

import base64
import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.checkpoint import State, evaluated
from trainer.engine.variable_paths import by_path
from trainer.monitoring.metric_writer import Writers
from trainer.report import pictures
from trainer.run.session import Session
from trainer.storage.failures import local_io
from trainer.task import Task

FOLDER = "evaluations"


class EvaluationReport:
    """What `Task.on_evaluation` is given, and where it may write.

    Files go into `evaluations/step_.../` of the workdir, and into its mirror; scalars, images and
    text to TensorBoard as well. What is written again at the same step replaces what was there.

    Attributes:
        step: updates so far.
        metrics: name -> value of this evaluation; "loss" is among them.
        workdir: folder of the run, on this machine.
    """

    def __init__(
        self, step: int, metrics: Mapping[str, float], writers: Writers, state: Callable[[], State]
    ) -> None:
        self.step = step
        self.metrics = dict(metrics)
        self.workdir = writers.workdir
        self._writers = writers
        self._state = state

    def weights(self) -> dict[str, np.ndarray]:
        """Return copies of all variables as they were evaluated: "main/dense/kernel" -> array."""
        state = evaluated(self._state())
        return {path: state[name].copy() for path, name in by_path(state).items()}

    def scalars(self, values: Mapping[str, float]) -> None:
        """Record numbers beside those of the evaluation: "eval/NAME" in `metrics.jsonl`."""
        for name in values:
            if name in self.metrics:
                raise RunError(
                    ExitCode.BAD_CONFIG,
                    f"config.task: on_evaluation writes {name!r}, which is a metric; name it "
                    "otherwise",
                )
        self._writers.write(self.step, {f"eval/{name}": float(v) for name, v in values.items()})

    def images(self, name: str, images: np.ndarray) -> None:
        """Record images as one picture: uint8 or float in [0, 1], [N, H, W, 1 or 3]."""
        picture = pictures.grid(np.asarray(images))
        self._write(f"{name}.png", base64.b64decode(pictures.png(picture)))
        self._writers.draw(self.step, lambda: {name: picture})

    def text(self, name: str, text: str) -> None:
        """Record text, as Markdown."""
        self._write(f"{name}.txt", text.encode())
        self._writers.tell(self.step, name, text)

    def table(self, name: str, rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> None:
        """Record rows as CSV, and as a table of Markdown."""
        lines = [*([list(header)] if header else []), *map(list, rows)]
        with local_io(self.workdir, "--workdir"), self.file(f"{name}.csv").open("w") as file:
            csv.writer(file).writerows(lines)
        cells = [f"| {' | '.join(map(str, line))} |" for line in lines]
        rule = f"|{'---|' * len(lines[0])}" if lines else ""
        self._writers.tell(self.step, name, "\n".join([*cells[:1], rule, *cells[1:]]))

    def file(self, name: str) -> Path:
        """Return the path of a file of this evaluation, for anything else that is to be kept."""
        if Path(name).name != name:
            raise RunError(
                ExitCode.BAD_CONFIG, f"config.task: on_evaluation names a file {name!r}; no folders"
            )
        folder = self.workdir / FOLDER / f"step_{self.step:09d}"
        with local_io(self.workdir, "--workdir"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def _write(self, name: str, content: bytes) -> None:
        path = self.file(name)
        with local_io(self.workdir, "--workdir"):
            path.write_bytes(content)


def call(session: Session, step: int, metrics: Mapping[str, float], writers: Writers) -> None:
    """Call the hook of the task, if it has one, on the chief; whatever it assigns is taken back."""
    task = session.task
    if type(task).on_evaluation is Task.on_evaluation:
        return
    is_chief = session.request.is_chief
    before = session.read_state() if is_chief or session.shards.stored else {}
    if not is_chief:  # which only had to give its share of the state
        return
    if task.average:
        task.average.put_in_place()
    try:
        task.on_evaluation(EvaluationReport(step, metrics, writers, lambda: before))
    finally:
        session.write_state(before)
