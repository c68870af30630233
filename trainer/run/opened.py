"""A run as a Python object: what it reached, its numbers, its checkpoints and its model."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.run import workdir

if TYPE_CHECKING:
    import keras

    from trainer.task import Task


@dataclasses.dataclass(frozen=True)
class Run:
    """A run in its workdir, finished or not.

    Attributes:
        workdir: folder of the run, or its URL.
        summary: content of `summary.json`; empty while the run has not ended.
        experiment: file of the code that the config names; None: the config names none, or it
            needs no check.
    """

    workdir: str
    summary: dict[str, Any] = dataclasses.field(repr=False)
    experiment: str | None = ""

    def metrics(self) -> Any:
        """Return the lines of `metrics.jsonl`, a row for each step.

        Returns:
            A pandas `DataFrame` with the steps as its index; without pandas a list of dictionaries.
        """
        rows: dict[int, dict[str, Any]] = {}
        with workdir.opened(self.workdir) as folder:
            path = folder.path / "metrics.jsonl"
            for line in path.read_text().splitlines() if path.is_file() else ():
                values = json.loads(line)
                rows.setdefault(values["step"], {}).update(values)
        try:
            import pandas
        except ImportError:
            return list(rows.values())
        return pandas.DataFrame(list(rows.values())).set_index("step")

    def checkpoints(self) -> list[int]:
        """Return the steps of the checkpoints, the oldest first."""
        from trainer import checkpoint

        with workdir.opened(self.workdir) as folder:
            store = checkpoint.Store(folder.path / "checkpoints", folder.checkpoints_url)
            return sorted(store.steps())

    def task(self, checkpoint: str = "newest") -> "Task":
        """Return the task with the state of a checkpoint; its models hold the averages, if any.

        Args:
            checkpoint: `newest`, `best` or a step.
        """
        from trainer.commands.restored import restore_task

        return restore_task(self.workdir, self.experiment, str(checkpoint)).task

    def model(self, role: str = "main", checkpoint: str = "newest") -> "keras.Model":
        """Return a model of the task; see `task`."""
        return self.task(checkpoint).models[role]


def open_run(where: str, experiment: str = "") -> Run:
    """Return the run in a workdir, finished or not.

    Args:
        where: folder of the run, or its URL.
        experiment: file that the run used, where its config names code of yours ("mine:build").

    Raises:
        RunError: BAD_FLAG where there is no run.
    """
    from trainer.commands.restored import read_config

    with workdir.opened(where) as folder:
        read_config(folder)
        path = Path(folder.path) / "summary.json"
        summary = json.loads(path.read_text()) if path.is_file() else {}
    return Run(where, summary, experiment)
