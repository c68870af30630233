"""This project: `python -m benchmarks.peers.lockstep WORK EXECUTION PRECISION THREADS`."""

import sys

import numpy as np

from benchmarks.peers import work


def build() -> dict[str, dict[str, np.ndarray]]:
    """Return the dataset."""
    x, y = work.images()
    return {"train": {"image": x, "label": y}}


def main(name: str, execution: str, precision: str = "float32", threads: str = "1") -> None:
    from trainer.cluster.strategy import Placement
    from trainer.config import DatasetConfig, OptimizerConfig, PartConfig, TrainConfig
    from trainer.data import sources
    from trainer.plan import make_plan
    from trainer.run.session import open_session

    model = name.partition("_")[0]
    options = {"padding": "valid"} if model == "cnn" else {"dropout": work.DROPOUT[name]}
    config = TrainConfig(
        train_steps=1_000_000,
        global_batch_size=work.BATCH[name],
        execution=execution,
        precision=precision,
        intra_op_threads=int(threads),
        dataset=DatasetConfig("benchmarks.peers.lockstep:build", eval_split=""),
        model=PartConfig(model, options),
        optimizer=OptimizerConfig("adam", learning_rate=work.RATE),
    )
    info = sources.describe(config.dataset)
    live = open_session(config, info, make_plan(config, info), Placement("cpu"))
    many = 256 if model == "mlp" else 16
    done = 1

    def run() -> int:
        nonlocal done
        live.train(done, many)
        done += many
        return many

    work.serve(lambda: live.train(0, 1), run)


if __name__ == "__main__":
    main(*sys.argv[1:])
