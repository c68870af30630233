"""One model, one optimizer, one loss: the classic custom training loop."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from common.exit_codes import ExitCode, RunError
from trainer import model_inputs
from trainer.data.info import Feature
from trainer.losses.from_keras import as_per_example, is_of_one_output, keras_mask, masked
from trainer.losses.shapes import WeightedLosses
from trainer.task import Microbatch, Parts, Replica, Task
from trainer.tasks.features import need

Names = str | list[str] | dict[str, str]
"""A feature; or of several inputs or labels a list, or name in the model -> feature."""


class Supervised(Task):
    """Minimize loss(label, model(input)).

    Args:
        parts: what the config names.
        input: feature the model reads; a model with several inputs: a list or dictionary.
        label: feature the loss and the metrics compare with; several: a list or dictionary, which
            a loss function of yours then is given as it is.
        weight: feature with what each example counts in the loss, its divisor and the metrics;
            empty: each counts 1.
    """

    def __init__(
        self, parts: Parts, *, input: Names = "image", label: Names = "label", weight: str = ""
    ) -> None:
        super().__init__(parts)
        self.input = input
        self.label = label
        self.weight = weight
        self.model = self.models["main"]
        self.optimizer = self.optimizers["main"]
        self.compared = tuple(parts.metrics.values())  # those that take labels and predictions
        self.loss = as_per_example(self.loss)
        _check_structures(self)

    @classmethod
    def model_shapes(
        cls,
        features: Mapping[str, Feature],
        *,
        input: Names = "image",
        label: Names = "label",
        weight: str = "",
    ) -> dict[str, tuple[Any, Any]]:
        """One output for each class, or for each element of a numeric label."""
        need(features, input=input, label=label, **({"weight": weight} if weight else {}))
        inputs, labels = (
            tf.nest.map_structure(features.__getitem__, names) for names in (input, label)
        )
        return {"main": (inputs, tf.nest.map_structure(_num_outputs, labels))}

    def train_step(self, replica: Replica) -> None:
        """Gradient of the mean loss over the global batch, then one update."""

        def loss(microbatch: Microbatch) -> tf.Tensor | WeightedLosses:
            return self._losses(microbatch, training=True)

        grads = replica.gradient(loss, self.model.trainable_variables)
        replica.apply(self.optimizer, grads, self.model.trainable_variables)

    def eval_step(self, microbatch: Microbatch) -> tf.Tensor | WeightedLosses:
        """Return the loss of each example, float[b]."""
        return self._losses(microbatch, training=False)

    def predict_step(self, microbatch: Microbatch) -> Any:
        """Return the predictions that `eval_step` compares with the labels."""
        return self._predict(microbatch, training=False)

    def example_weights(self, microbatch: Microbatch) -> tf.Tensor:
        """Return the weights times the feature `weight`, where there is one."""
        if not self.weight:
            return microbatch.weights
        weights = microbatch[self.weight]
        if weights.shape.num_elements() != microbatch.weights.shape.num_elements():
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.task.args.weight={self.weight!r} has shape {list(weights.shape[1:])}; it "
                "has to be one number for each example",
            )
        weights = tf.reshape(tf.cast(weights, tf.float32), microbatch.weights.shape)
        return microbatch.weights * weights

    def _losses(self, microbatch: Microbatch, *, training: bool) -> tf.Tensor | WeightedLosses:
        labels = tf.nest.map_structure(microbatch.__getitem__, self.label)
        predictions = self._predict(microbatch, training=training)
        counted = self._counted(labels, microbatch.weights)
        for metric in self.compared:
            metric.update_state(labels, predictions, sample_weight=counted)
        return self.loss(labels, predictions)

    def _counted(self, labels: Any, weights: tf.Tensor) -> tf.Tensor:
        """Return what each label counts in the metrics: 0 where the loss ignores its class."""
        ignore = _ignored_class(self.loss)
        if ignore is None or tf.nest.is_nested(labels):
            return weights
        if labels.shape.rank > 1 and labels.shape[-1] == 1:
            labels = labels[..., 0]
        weights = tf.reshape(weights, [-1, *[1] * (labels.shape.rank - 1)])
        return weights * tf.cast(labels != tf.cast(ignore, labels.dtype), weights.dtype)

    def _predict(self, microbatch: Microbatch, *, training: bool) -> Any:
        inputs = tf.nest.map_structure(microbatch.__getitem__, self.input)
        # Some metrics refuse bfloat16, and a custom model may end in it.
        return tf.nest.map_structure(
            lambda x: masked(tf.cast(x, tf.float32), keras_mask(x)),
            self.model(inputs, training=training),
        )


def _ignored_class(loss: Any) -> int | None:
    """Return the class that a loss was told to ignore: by an argument, or as a class of Keras."""
    made = getattr(loss, "loss", loss)
    found: int | None = getattr(made, "ignore_class", None)
    return getattr(made, "keywords", {}).get("ignore_class", found)


def _num_outputs(label: Feature) -> int:
    width = label.shape[-1] if label.shape else 1
    return label.num_classes or width or 1


def _check_structures(task: Supervised) -> None:
    """Refuse a model whose inputs or outputs are others than those that the task has for it."""
    reads, gives = model_inputs.reads(task.model), model_inputs.gives(task.model)
    if not _same(reads, task.input):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.task.args.input={task.input!r}: the model reads {_described(reads)}; give a "
            "feature for each, in the same list or dictionary",
        )
    if tf.nest.is_nested(gives) and is_of_one_output(task.loss):
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"config.loss compares one output, and the model gives {_described(gives)}; write a "
            "function (labels, predictions) -> float[b] that adds a loss for each output, name it "
            "in config.loss, and give the labels as a list or dictionary in "
            "config.task.args.label",
        )


def _same(found: Any, names: Names) -> bool:
    """Whether inputs have the structure of the names; a list may stand for a tuple."""
    if isinstance(found, Mapping) or isinstance(names, Mapping):
        both = isinstance(found, Mapping) and isinstance(names, Mapping)
        return both and set(found) == set(names)
    if isinstance(found, list | tuple) or isinstance(names, list | tuple):
        return len(tf.nest.flatten(found)) == len(tf.nest.flatten(names))
    return True


def _described(tensors: Any) -> str:
    if isinstance(tensors, Mapping):
        return f"a dictionary of {', '.join(sorted(tensors))}"
    if isinstance(tensors, list | tuple):
        return f"a list of {len(tensors)}"
    return "one tensor"
