"""A run as a Python object: what it reached, its numbers, its checkpoints and its model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.report.run_files import by_step, read_lines, read_summary
from trainer.run import workdir

if TYPE_CHECKING:
    import keras
    import numpy as np

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
        with workdir.opened(self.workdir) as folder:
            rows = list(by_step(read_lines(folder.path / "metrics.jsonl")).values())
        try:
            import pandas
        except ImportError:
            return rows
        # Of a run without lines the columns are not known, but that of the index.
        return pandas.DataFrame(rows, columns=None if rows else ["step"]).set_index("step")

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

    def export(
        self,
        folder: str,
        role: str = "main",
        checkpoint: str = "newest",
        *,
        litert: bool = False,
    ) -> dict[str, Any]:
        """Write a model as the command `export` does; return what `export.json` says.

        Args:
            folder: created if it is missing.
            role: of the model in the task.
            checkpoint: `newest`, `best` or a step.
            litert: write `model.tflite`, too.
        """
        from trainer.commands import export, restored

        task = restored.restore_task(self.workdir, self.experiment, str(checkpoint))
        return export.write(task, Path(folder), role, litert=litert)

    def predict(
        self,
        data: str = "",
        split: str = "",
        checkpoint: str = "newest",
        args: Mapping[str, Any] | None = None,
    ) -> "dict[str, np.ndarray]":
        """Return what the command `predict` writes: "source" and each output by name, [N, ...].

        Args:
            data: a path, or a name as `dataset.name`; empty: the data of the run.
            split: or slice; empty: all, or of several splits the one that the run evaluates.
            checkpoint: `newest`, `best` or a step.
            args: of `dataset.args`, in place of those that follow from the run.
        """
        import numpy as np

        from trainer.commands import predict_input, predict_outputs, restored

        task = restored.restore_task(self.workdir, self.experiment, str(checkpoint))
        asked = predict_outputs.features_read(task)
        info = predict_input.describe(task, asked, data, split, args)
        parts = list(predict_outputs.rows(task, info))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def open_run(where: str, experiment: str = "") -> Run:
    """Return the run in a workdir, finished or not.

    Args:
        where: folder of the run, or its URL.
        experiment: file that the run used, where its config names code of yours ("mine:build"),
            unless this very notebook or script has defined it.

    Raises:
        RunError: BAD_FLAG where there is no run.
    """
    from trainer.commands.restored import read_config

    with workdir.opened(where) as folder:
        read_config(folder)
        return Run(where, read_summary(folder.path), experiment)
