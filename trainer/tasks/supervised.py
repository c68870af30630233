"""One model, one optimizer, one loss: the classic custom training loop."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from trainer.data.info import Feature
from trainer.task import Microbatch, Parts, Replica, Task
from trainer.tasks.features import need


class Supervised(Task):
    """Minimize loss(label, model(input)).

    Args:
        parts: what the config names.
        input: feature the model reads.
        label: feature the loss and the metrics compare with.
    """

    def __init__(self, parts: Parts, *, input: str = "image", label: str = "label") -> None:
        super().__init__(parts)
        self.input = input
        self.label = label
        self.model = self.models["main"]
        self.optimizer = self.optimizers["main"]
        self.compared = tuple(parts.metrics.values())  # those that take labels and predictions
        if isinstance(self.loss, keras.losses.Loss):
            self.loss.reduction = "none"

    @classmethod
    def model_shapes(
        cls, features: Mapping[str, Feature], *, input: str = "image", label: str = "label"
    ) -> dict[str, tuple[Any, int]]:
        """One output for each class, or for each element of a numeric label."""
        need(features, input=input, label=label)
        target = features[label]
        width = target.shape[-1] if target.shape else 1
        return {"main": (features[input].shape, target.num_classes or width or 1)}

    def train_step(self, replica: Replica) -> None:
        """Gradient of the mean loss over the global batch, then one update."""

        def loss(microbatch: Microbatch) -> tf.Tensor:
            return self._losses(microbatch, training=True)

        grads = replica.gradient(loss, self.model.trainable_variables)
        replica.apply(self.optimizer, grads, self.model.trainable_variables)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the loss of each example, float[b]."""
        return self._losses(microbatch, training=False)

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor:
        labels = microbatch[self.label]
        # Some metrics refuse bfloat16, and a custom model may end in it.
        predictions = tf.cast(self.model(microbatch[self.input], training=training), tf.float32)
        for metric in self.compared:
            metric.update_state(labels, predictions, sample_weight=microbatch.weights)
        return self.loss(labels, predictions)
