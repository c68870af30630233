"""A second pass in every step: sharpness-aware minimization."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from trainer.data.info import Feature
from trainer.losses.shapes import WeightedLosses
from trainer.task import Microbatch, Parts, Replica
from trainer.tasks.supervised import Names, Supervised


class SharpnessAware(Supervised):
    """Descend by the gradient at the worst point nearby, not by the one where the weights are.

    Formula: e = rho * g / |g| with g the gradient at w; w' = update(w, gradient at w + e).

    The logged loss is the mean of the two passes; metrics count the first one.

    Args:
        parts: what the config names.
        rho: distance to the worst point, in the unit of the weights.
        input: as of `Supervised`.
        label: as of `Supervised`.
        weight: as of `Supervised`.

    Source: Foret et al., Sharpness-Aware Minimization, ICLR 2021, algorithm 1.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        rho: float = 0.05,
        input: Names = "image",
        label: Names = "label",
        weight: str = "",
    ) -> None:
        super().__init__(parts, input=input, label=label, weight=weight)
        self.rho = rho

    @classmethod
    def model_shapes(
        cls,
        features: Mapping[str, Feature],
        *,
        rho: float = 0.05,
        input: Names = "image",
        label: Names = "label",
        weight: str = "",
    ) -> dict[str, tuple[Any, Any]]:
        """As of `Supervised`; every argument of the task comes here, too."""
        del rho
        return super().model_shapes(features, input=input, label=label, weight=weight)

    def train_step(self, replica: Replica) -> None:
        """Gradient here, step uphill, gradient there, step back, update."""
        weights = self.model.trainable_variables
        here = [tf.convert_to_tensor(w) for w in weights]
        grads = replica.gradient(self._first_pass, weights)
        statistics = [tf.convert_to_tensor(s) for s in self.model.non_trainable_variables]

        for weight, value, shift in zip(weights, here, uphill(grads, self.rho), strict=True):
            weight.assign(value + shift)
        grads = replica.gradient(self._second_pass, weights)

        # The shifted weights were only looked at: neither they nor what BatchNorm saw may stay.
        for variable, value in zip(
            [*weights, *self.model.non_trainable_variables], [*here, *statistics], strict=True
        ):
            variable.assign(value)
        replica.apply(self.optimizer, grads, weights)

    def _first_pass(self, microbatch: Microbatch) -> tf.Tensor | WeightedLosses:
        return self._losses(microbatch, training=True)

    def _second_pass(self, microbatch: Microbatch) -> tf.Tensor | WeightedLosses:
        labels = tf.nest.map_structure(microbatch.__getitem__, self.label)
        return self.loss(labels, self._predict(microbatch, training=True))


def uphill(grads: Sequence[tf.Tensor], rho: float) -> list[tf.Tensor]:
    """Return the step of length `rho` along the gradient; zero where the gradient is zero."""
    norm = tf.linalg.global_norm(grads)
    return [tf.math.divide_no_nan(rho * g, tf.cast(norm, g.dtype)) for g in grads]
