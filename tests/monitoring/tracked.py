"""What trackers hold of a run; prints it as JSON. Needs the environment of `make .venv/trackers`.

`python -m tests.monitoring.tracked mlflow URI EXPERIMENT` or `... wandb WORKDIR`. The result is a
list of runs, each with "metrics" (name -> [[step, value], ...]), "config", "facts" and "files".
"""

import json
import pathlib
import sys

from trainer.monitoring import wandb_files


def of_mlflow(uri: str, experiment: str) -> list[dict]:
    import mlflow

    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    return [_of_run(client, run) for run in client.search_runs([found.experiment_id])]


def _of_run(client, run) -> dict:
    name = run.info.run_id
    histories = {key: client.get_metric_history(name, key) for key in run.data.metrics}
    files = []
    for artifact in client.list_artifacts(name):
        inside = client.list_artifacts(name, artifact.path) if artifact.is_dir else [artifact]
        files += [one.path for one in inside]
    return {
        "metrics": {k: [[m.step, m.value] for m in all_] for k, all_ in histories.items()},
        "config": run.data.params,
        "facts": {**run.data.tags, "status": run.info.status},
        "files": sorted(files),
    }


def of_wandb(workdir: str) -> list[dict]:
    """Join the folders that processes left, as `wandb sync` does."""
    runs: dict[str, dict] = {}
    for path in sorted(pathlib.Path(workdir).glob("wandb/offline-run-*/*.wandb")):
        found = {"metrics": {}, "config": {}, "facts": {}, "files": []}
        run = runs.setdefault(path.stem, found)
        for record in wandb_files.records(path):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                for item in record.history.item:
                    name = item.key or "/".join(item.nested_key)
                    if not name.startswith("_"):
                        row = [record.history.step.num, json.loads(item.value_json)]
                        run["metrics"].setdefault(name, []).append(row)
            elif kind == "run":
                run["config"] |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
            elif kind == "summary":
                named = {
                    item.key or "/".join(item.nested_key): item for item in record.summary.update
                }
                run["facts"] |= {k: json.loads(item.value_json) for k, item in named.items()}
            elif kind == "files":
                run["files"] += [one.path for one in record.files.files]
    return list(runs.values())


if __name__ == "__main__":
    of = {"mlflow": of_mlflow, "wandb": of_wandb}[sys.argv[1]]
    print(json.dumps(of(*sys.argv[2:])))
