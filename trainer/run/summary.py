"""The end of a run in numbers."""

import json
from pathlib import Path
from typing import Any

from common import files
from trainer import checkpoint
from trainer.config import TrainConfig
from trainer.run.training import Training
from trainer.storage.failures import local_io


def summarize(config: TrainConfig, training: Training) -> dict[str, Any]:
    """Return what `summary.json` says."""
    progress, ledger = training.progress, training.phases.ledger
    goodput = ledger.report()
    return {
        "step": progress.step,
        "status": "done",
        "train": progress.train,
        "eval": progress.evaluation,
        "state_digest": checkpoint.digest(training.live.read_state(), progress.step),
        "examples_per_second": training.examples_per_second,
        "replicas": training.live.strategy.num_replicas_in_sync,
        "virtual_replicas": config.virtual_replicas,
        "execution": config.execution,
        "seconds": {
            "total": ledger.lived(),
            "train": training.seconds,
        },
        "goodput": goodput,
    }


def scalars(report: dict[str, Any]) -> dict[str, float]:
    """Return the goodput as scalars for the writers; empty buckets are left out."""
    goodput = report["goodput"]
    seconds = {f"seconds/{name}": s for name, s in goodput["seconds"].items() if s > 0}
    return {"goodput": goodput["goodput"], **seconds}


def write(path: Path, report: dict[str, Any]) -> None:
    """Write `summary.json` into the folder `path`; it appears whole."""
    with local_io(path, "--workdir"):
        text = json.dumps(report, indent=2) + "\n"
        files.write_text(path / "summary.json", text, durable=True)
