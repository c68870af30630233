"""One MLflow run for a workdir, over all its restarts."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.monitoring import attachments
from trainer.monitoring.trackers import run_id

attachments.require("mlflow")

_TAG = "lockstep.id"
_MOST_METRICS, _MOST_PARAMS, _MOST_TAGS, _MOST_CHARACTERS = 1000, 100, 100, 500
"""Of one request, and of one value: what every server accepts."""
_SETTINGS = {
    # The client repeats a failed request for minutes; here the follower does, and says so at once.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MLflow:
    """A tracker; needs the package `mlflow` or `mlflow-skinny`.

    The run is found by a tag, and what it holds is not sent again, so that neither a kill nor a
    request whose answer was lost doubles anything.

    Args:
        workdir: folder of the run.
        tracking_uri: of the server; "": MLFLOW_TRACKING_URI.
        experiment: its name; created where there is none.
        name: of the MLflow run; "": that of the workdir.

    Raises:
        mlflow.exceptions.MlflowException: the server does not answer, or refuses.
    """

    def __init__(
        self,
        workdir: Path,
        tracking_uri: str = "",
        experiment: str = "Default",
        name: str = "",
    ) -> None:
        os.environ.update({k: v for k, v in _SETTINGS.items() if k not in os.environ})
        import mlflow

        self._entities, self._workdir = mlflow.entities, workdir
        self._client = mlflow.MlflowClient(tracking_uri or None)
        found = self._client.get_experiment_by_name(experiment)
        where = found.experiment_id if found else self._client.create_experiment(experiment)
        mine = run_id(workdir)
        runs = self._client.search_runs([where], f"tags.`{_TAG}` = '{mine}'", max_results=1)
        self._is_new = not runs
        run = runs[0] if runs else self._client.create_run(
            where, tags={_TAG: mine}, run_name=name or workdir.name
        )  # fmt: skip
        self._run = run.info.run_id
        self._has: dict[str, set[int]] = {}
        self._client.update_run(self._run, "RUNNING")
        self._describe(run.data.params)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record what the run does not hold yet of this step."""
        now = int(1000 * time.time())
        named = {_allowed(name): value for name, value in values.items()}
        metrics = [
            self._entities.Metric(name, float(value), now, step)
            for name, value in named.items()
            if step not in self._steps_of(name)
        ]
        for batch in _batches(metrics, _MOST_METRICS):
            self._client.log_batch(self._run, metrics=batch)

    def close(self) -> None:
        """Attach files, pictures and digests, and say how the run has ended."""
        for path in attachments.files(self._workdir):
            folder = path.parent.relative_to(self._workdir).as_posix()
            self._client.log_artifact(self._run, str(path), None if folder == "." else folder)
        facts = attachments.ended(self._workdir)
        told = {f"lockstep.{name}": value for name, value in facts.items()}
        tags = [self._entities.RunTag(*row) for row in _rows(told)]
        for batch in _batches(tags, _MOST_TAGS):
            self._client.log_batch(self._run, tags=batch)
        # The next process calls RUNNING what was stopped.
        ended = {"": "FAILED", "stopped": "KILLED"}.get(facts["status"], "FINISHED")
        self._client.set_terminated(self._run, ended)

    def _describe(self, known: Mapping[str, str]) -> None:
        """Record the fields of the config; a parameter is never changed, not by a longer run."""
        rows = [r for r in _rows(attachments.config(self._workdir)) if r[0] not in known]
        params = [self._entities.Param(*row) for row in rows]
        for batch in _batches(params, _MOST_PARAMS):
            self._client.log_batch(self._run, params=batch)

    def _steps_of(self, name: str) -> set[int]:
        """Return the steps of a metric that were there when this process came."""
        if self._is_new:
            return set()
        if name not in self._has:
            history = self._client.get_metric_history(self._run, name)
            self._has[name] = {metric.step for metric in history}
        return self._has[name]


def _allowed(name: str) -> str:
    """Return a name that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_allowed(name), str(value)[:_MOST_CHARACTERS]) for name, value in values.items()]


def _batches(items: list[Any], most: int) -> list[list[Any]]:
    return [items[i : i + most] for i in range(0, len(items), most)]
