"""A task whose loss is not a number at given steps, in one microbatch only."""

from typing import Any

import tensorflow as tf

from trainer.task import Microbatch, Parts
from trainer.tasks.supervised import Supervised

MICROBATCHES = 4


class Poisoned(Supervised):
    """Supervised training with planted numbers.

    Args:
        parts: of the config.
        steps: at which one example's loss is multiplied by `value`.
        value: "nan" or "inf".
    """

    def __init__(self, parts: Parts, *, steps: list[int], value: str = "nan") -> None:
        super().__init__(parts)
        self._steps = steps
        self._value = float(value)

    @classmethod
    def model_shapes(cls, features: Any, **_: Any) -> Any:
        return Supervised.model_shapes(features)

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        losses = super()._losses(microbatch, training=training)
        if not training:
            return losses
        # The second word of a microbatch's key is step * V + microbatch.
        places = tf.constant([step * MICROBATCHES + 2 for step in self._steps], tf.int64)
        hit = tf.reduce_any(places == microbatch.key[1])
        first = tf.range(tf.shape(losses)[0]) == 0
        return losses * tf.where(hit & first, self._value, 1.0)
