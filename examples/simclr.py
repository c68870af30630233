"""SimCLR with a linear probe, and a look at what the encoder takes for similar.

The loss compares every image of a batch with every other (`replica.gradient_of_batch`, in the
trainer's own task `simclr`), so it must not depend on how the batch is cut. The probe learns the
classes from what the encoder makes of an image, and does not teach it. This file adds a look: the
step keeps its images in a variable (`replica.gather`), and after an evaluation some of them are
drawn beside those that the encoder finds most similar.

Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020.
Command: python -m trainer --config=examples/simclr.py --workdir=runs/simclr
Result: accuracy >= 0.8; 0.8581 after 240 steps
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from trainer import EvaluationReport, PartConfig, Parts, Replica, TrainConfig
from trainer.configs import digits_simclr
from trainer.tasks.simclr import SimClr

BATCH = 256


class Similar(SimClr):
    """SimCLR that draws nearest neighbours; for the arguments see `SimClr`."""

    def __init__(self, parts: Parts, *, temperature: float) -> None:
        super().__init__(parts, temperature=temperature)
        shape = [BATCH, *self.encoder.input_shape[1:]]
        self.seen = keras.Variable(tf.zeros(shape), trainable=False, name="seen")

    def train_step(self, replica: Replica) -> None:
        """Train as SimCLR does; then keep the images of the batch, in their order."""
        super().train_step(replica)
        self.seen.assign(replica.gather(lambda microbatch: microbatch[self.input]))

    def on_evaluation(self, report: EvaluationReport) -> None:
        """Draw eight images, one a row, each before the seven most similar ones of the batch."""
        vectors = keras.ops.normalize(self.encoder(self.seen.value, training=False)).numpy()
        nearest = np.argsort(-(vectors[:8] @ vectors.T), axis=1)[:, :8]  # the first is itself
        report.images("similar", self.seen.numpy()[nearest.ravel()])


def get_config() -> TrainConfig:
    """Return the experiment: the one that ships, with a larger batch and the look."""
    return dataclasses.replace(
        digits_simclr.get_config(),
        train_steps=240,
        epochs=0,
        global_batch_size=BATCH,
        eval_every_steps=120,
        task=PartConfig(f"{__name__}:Similar", {"temperature": 0.2}),
    )
