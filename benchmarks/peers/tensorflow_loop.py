"""A custom loop: `python -m benchmarks.peers.tensorflow_loop WORK bare|orbit`.

`bare` calls one compiled step from Python for each batch; `orbit` hands the same step to Orbit's
`StandardTrainer`, which makes many steps in one call.
"""

import sys
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from benchmarks.peers import work
from benchmarks.peers.keras_fit import dataset, model

Step = Callable[[Any], None]


def make_step(name: str) -> tuple[Step, Callable[[], Any]]:
    """Return the step, and a function that reads its metrics and sets them to zero."""
    made, optimizer = model(name), keras.optimizers.Adam(work.RATE)
    optimizer.build(made.trainable_variables)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.Mean(), keras.metrics.SparseCategoricalAccuracy()]

    def step(batch: Any) -> None:
        x, y = batch
        with tf.GradientTape() as tape:
            logits = made(x, training=True)
            loss = loss_fn(y, logits)
        grads = tape.gradient(loss, made.trainable_variables)
        optimizer.apply(grads, made.trainable_variables)
        metrics[0].update_state(loss)
        metrics[1].update_state(y, logits)

    def read() -> list[float]:
        values = [float(metric.result()) for metric in metrics]
        for metric in metrics:
            metric.reset_state()
        return values

    return step, read


def bare(name: str) -> None:
    step, read = make_step(name)
    compiled, batches = tf.function(step), iter(dataset(name))

    def run(count: int) -> int:
        for _ in range(count):
            compiled(next(batches))
        read()
        return count

    work.serve(lambda: run(1), lambda: run(min(64, work.WORKS[name].many)))


def with_orbit(name: str) -> None:
    import orbit

    step, read = make_step(name)

    class Trainer(orbit.StandardTrainer):
        def train_step(self, iterator: Any) -> None:
            step(next(iterator))

        def train_loop_end(self) -> Any:
            return read()

    trainer = Trainer(dataset(name))

    def run(count: int) -> int:
        trainer.train(tf.constant(count))
        return count

    work.serve(lambda: run(1), lambda: run(work.WORKS[name].many))


if __name__ == "__main__":
    {"bare": bare, "orbit": with_orbit}[sys.argv[2]](sys.argv[1])
