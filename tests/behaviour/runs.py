"""Short runs, each with fields that are not as by default; prints what came of them as JSON.

A process of its own, one for all runs: `python -m tests.behaviour.runs FOLDER`.
"""

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tests.chaos.harness import logged_steps, saved_steps
from tests.run import schemas
from trainer import DatasetConfig, OptimizerConfig, PartConfig, RunError, TrainConfig, train
from trainer.config import PlateauConfig

THREADS = 2
STEPS = 12
CLIP = 1e-3

UNSEEN = DatasetConfig(train_split="train[:64]", eval_split="")  # no evaluation to compile


def config(**fields: Any) -> TrainConfig:
    """64 examples, 8 a step: an epoch is 8 steps."""
    given = {
        "intra_op_threads": THREADS,
        "train_steps": STEPS,
        "global_batch_size": 8,
        "virtual_replicas": 4,
        "dataset": DatasetConfig(train_split="train[:64]", eval_split="test[:64]"),
        "model": PartConfig("mlp", {"hidden": [16]}),
        "optimizer": OptimizerConfig("adam", learning_rate=0.003),
        "checkpoint_every_steps": 0,
    }
    return TrainConfig(**given | fields)


def poisoned(steps: list[int], value: str) -> PartConfig:
    return PartConfig("tests.chaos.poison:Poisoned", {"steps": steps, "value": value})


EACH = {"log_every_steps": 1, "eval_every_steps": 1}
RUNS = {
    "boundaries": config(
        log_every_steps=5, eval_every_steps=3, eval_before_training=True,
        checkpoint_every_steps=4, keep_checkpoints=2,
        plateau=PlateauConfig("loss", patience=2, min_delta=1e6),
        trackers=(PartConfig("tests.monitoring.listing:Listing"),),
    ),
    "augmented": config(
        train_steps=1, eval_before_training=True, augment=(PartConfig("pad_and_crop"),)
    ),
    "plateau": config(
        **EACH, plateau=PlateauConfig("loss", "max", factor=0.5, patience=2, min_scale=0.3),
        keep_best_metric="accuracy", keep_best_mode="min", keep_checkpoints=1,
    ),
    "schedule": config(
        log_every_steps=1, dataset=UNSEEN,
        optimizer=OptimizerConfig(
            "sgd", 0.1, schedule=PartConfig("cosine", {"final_fraction": 0.5}), warmup_steps=4
        ),
    ),
    "clipped": config(
        train_steps=3, checkpoint_every_steps=1, dataset=UNSEEN,
        optimizer=OptimizerConfig("sgd", 1.0, clip_norm=CLIP, args={"momentum": 0.9}),
    ),
    "two optimizers": config(
        train_steps=2, checkpoint_every_steps=1, dataset=UNSEEN, metrics=(),
        task=PartConfig("gan", {"latent": 4}),
        model=PartConfig("generator", {"image_shape": [8, 8, 1]}),
        models={"discriminator": PartConfig("discriminator")},
        optimizer=OptimizerConfig("sgd", 1.0, clip_norm=CLIP),
        optimizers={"discriminator": OptimizerConfig("sgd", 1.0, clip_norm=2 * CLIP)},
    ),
    "not finite": config(
        checkpoint_every_steps=2, max_skipped_steps=3, max_rollbacks=1, dataset=UNSEEN,
        task=poisoned([*range(4, STEPS)], "nan"),
    ),
    "spike": config(
        train_steps=26, loss_spike=4.0, task=poisoned([24], "1000"), dataset=UNSEEN
    ),
}  # fmt: skip


def run(config: TrainConfig, workdir: pathlib.Path) -> dict[str, Any]:
    """Train; return what a user sees of it."""
    error = ""
    try:
        train(config, str(workdir))
    except RunError as failure:
        error = failure.reason
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    skipped = workdir / "skipped.jsonl"
    tracked = workdir.parent / f"{workdir.name}-listing.jsonl"
    return {
        "error": error,
        "tracked": tracked.read_text().count("train/loss") if tracked.exists() else 0,
        "faults": schemas.faults(workdir),
        "logged": logged_steps(workdir, "train/"),
        "evaluated": logged_steps(workdir, "eval/"),
        "saved": saved_steps(workdir),
        "rates": [line["learning_rate"] for line in lines if "learning_rate" in line],
        "losses": [line["eval/loss"] for line in lines if "eval/loss" in line],
        "accuracies": [line["eval/accuracy"] for line in lines if "eval/accuracy" in line],
        "skipped": [json.loads(s)["reason"] for s in skipped.read_text().splitlines()]
        if skipped.exists()
        else [],
        "moved": {role: list(moved(workdir, role)) for role in ("main", *config.models)},
    }


def moved(workdir: pathlib.Path, role: str) -> Iterator[float]:
    """Yield how far the weights of a model went between each checkpoint and the next."""
    before = None
    for folder in sorted(workdir.glob("checkpoints/step_*")):
        with np.load(folder / "state.npz") as state:
            of_role = [name for name in sorted(state.files) if name.startswith(role)]
            names = [n for n in of_role if "moving_" not in n and "seed_generator" not in n]
            now = np.concatenate([state[name].ravel().astype(np.float64) for name in names])
        if before is not None:
            yield float(np.linalg.norm(now - before))
        before = now


def main(folder: pathlib.Path) -> None:
    found = {name: run(config, folder / name) for name, config in RUNS.items()}
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    print(json.dumps({"threads": threads, "runs": found}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
