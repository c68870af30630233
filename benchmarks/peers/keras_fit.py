"""Keras `fit`: `python -m benchmarks.peers.keras_fit WORK STEPS_PER_EXECUTION`."""

import sys

import keras

from benchmarks.peers import work
from trainer.models.cnn import cnn
from trainer.models.mlp import mlp


def model(name: str) -> keras.Model:
    """Return the model that all TensorFlow contenders train."""
    if name == "cnn":
        return cnn((28, 28, 1), 10, padding="valid")
    return mlp((28, 28, 1), 10, dropout=work.DROPOUT[name])


def main(name: str, steps_per_execution: str) -> None:
    made, (x, y), batch = model(name), work.images(), work.BATCH[name]
    made.compile(
        keras.optimizers.Adam(work.RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=int(steps_per_execution),
    )
    many = min(len(x), 100 * batch)

    def fit(count: int) -> int:
        made.fit(x[:count], y[:count], batch_size=batch, verbose=0)
        return count // batch

    work.serve(lambda: fit(batch), lambda: fit(many))


if __name__ == "__main__":
    main(*sys.argv[1:])
