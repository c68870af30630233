"""What a loss over the whole batch costs: against the same loss within each microbatch.

    python -m benchmarks.whole_batch [--virtual_replicas=4] [--turns=9]

SimCLR on the digits, batch 128. The two steps take turns within one run. They compute the same for
one virtual replica; for more, the loss within a microbatch sees fewer images to tell apart.
"""

import argparse
import dataclasses
import statistics
import time
from typing import Any

import tensorflow as tf

from tests.engine.resident_loop import resident_loop
from trainer import build
from trainer.cluster.strategy import configure_runtime
from trainer.config import TrainConfig, experiment_file
from trainer.data.info import Feature
from trainer.engine.step import make_train_step
from trainer.engine.step_sums import zero_sums
from trainer.task import Replica
from trainer.tasks.simclr import SimClr

_STEPS = 40
_FEATURES = {
    "image": Feature((8, 8, 1), "float32"),
    "label": Feature((), "int64", num_classes=10),
}


class WithinMicrobatch(SimClr):
    """Compares the images of each microbatch alone."""

    def train_step(self, replica: Replica) -> None:
        """As of `SimClr`, in one pass."""
        super().train_step(_OnePass(replica))


class _OnePass:
    def __init__(self, replica: Replica) -> None:
        self.gradient, self.apply = replica.gradient, replica.apply

    def gradient_of_batch(self, embed_fn: Any, loss_fn: Any, variables: Any) -> Any:
        return self.gradient(lambda m: loss_fn([tf.cast(x, tf.float32) for x in embed_fn(m)]),
                             variables)  # fmt: skip


def main() -> None:
    """Measure both, print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--virtual_replicas", type=int, default=4)
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    configure_runtime(TrainConfig(epochs=1))
    names = ("trainer.tasks.simclr:SimClr", "benchmarks.whole_batch:WithinMicrobatch")
    loops = [_loop(name, options.virtual_replicas) for name in names]
    times: list[list[float]] = [[], []]
    for turn in range(options.turns + 1):
        for index, loop in enumerate(loops):
            began = time.perf_counter()
            loop(0, _STEPS)
            if turn:
                times[index].append((time.perf_counter() - began) / _STEPS * 1e3)
    whole, within = map(statistics.median, times)
    print(f"whole batch {whole:.2f} ms, within microbatches {within:.2f} ms: {whole / within:.2f}x")


def _loop(task: str, virtual_replicas: int) -> Any:
    config = experiment_file.load("digits_simclr")
    part = dataclasses.replace(config.task, name=task)
    config = dataclasses.replace(config, task=part, virtual_replicas=virtual_replicas)
    built = build.build_task(config, _FEATURES, total_steps=_STEPS)
    images = tf.random.stateless_uniform([_STEPS * config.global_batch_size, 8, 8, 1], [0, 0])
    labels = tf.zeros(images.shape[:1], tf.int64)
    return resident_loop(
        tf.distribute.get_strategy(),
        make_train_step(built, build.step_plan(config)),
        {"image": images.numpy(), "label": labels.numpy()},
        zero_sums(built, training=True),
        batch=config.global_batch_size,
        virtual_replicas=virtual_replicas,
    )


if __name__ == "__main__":
    main()
