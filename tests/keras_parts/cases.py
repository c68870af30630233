"""Classes of Keras in a training: what is trained with them, and the same in plain Keras."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tests.keras_parts import making
from tests.keras_parts.classes import KINDS
from trainer import build
from trainer.config import OptimizerConfig, PartConfig, TrainConfig
from trainer.data.info import Feature
from trainer.tasks.supervised import Supervised

STEPS, BATCH, V = 3, 8, 4
RATE = 0.05
MAKING, HERE = "tests.keras_parts.making", "tests.keras_parts.cases"
SINGULAR = {k: k.removesuffix("s") for k in KINDS} | {"losses": "loss"}
ROUNDED = {"Accuracy", "IoU", "MeanIoU"}  # they compare class numbers
WHOLE = {"Circle": 2}  # virtual replicas; a microbatch of two has no pairs alike and unlike
ONE_VALUE = {"Mean", "Sum"}  # they take a value, not labels and predictions


class Compared(Supervised):
    """Supervised with three outputs whatever the labels are."""

    def __init__(self, parts):
        super().__init__(parts, input="x", label="y")

    @classmethod
    def model_shapes(cls, features):
        return {"main": (features["x"].shape, 3)}


class Measured(Compared):
    """Counts metrics; what it minimizes knows nothing of the labels."""

    def _losses(self, microbatch, *, training):
        predictions = self.model(microbatch["x"], training=training)
        for name, metric in self.metrics.items():
            given = {"sample_weight": microbatch.weights}
            counted(metric, name, microbatch["y"], predictions, **given)
        return tf.reduce_mean(predictions**2, axis=-1)


def counted(metric, name, labels, predictions, **weights):
    if name in ONE_VALUE:
        metric.update_state(predictions[:, 0], **weights)
        return
    seen = tf.argmax(predictions, axis=-1) if name in ROUNDED else predictions
    seen = predictions[:, 0] if name == "BinaryIoU" else seen
    metric.update_state(labels, seen, **weights)


@dataclasses.dataclass(frozen=True)
class Case:
    """One class, or several that are trained together, and how.

    These are layers that take the same inputs, or metrics that take the same labels.
    """

    kind: str
    names: tuple[str, ...]
    precision: str = "float32"
    execution: str = "graph"
    virtual_replicas: int = V

    @property
    def name(self):
        return self.names[0]

    def of(self, names):
        """Return the case of some of the names."""
        return dataclasses.replace(self, names=names)

    def branches(self, model):
        """Return name -> what is trained with it."""
        if self.kind == "layers":
            return {name: model.get_layer(name) for name in self.names}
        return dict.fromkeys(self.names, model)

    def config(self):
        part = PartConfig(f"{MAKING}:{SINGULAR.get(self.kind)}", {"name": self.name})
        metrics = tuple(PartConfig(part.name, {"name": name}) for name in self.names)
        named = PartConfig("supervised", {"input": "x", "label": "y"})
        plain = OptimizerConfig("sgd", learning_rate=RATE)
        if self.kind == "losses":
            named = PartConfig(f"{HERE}:Compared")
        if self.kind == "metrics":
            named = PartConfig(f"{HERE}:Measured")
        if self.kind == "optimizers":
            plain = OptimizerConfig(part.name, learning_rate=RATE, args=part.args)
        model = PartConfig(f"{MAKING}:small", {"steps": 6} if self.name == "CTC" else {})
        loss = PartConfig(f"keras.losses:{self.name}" if self.kind == "losses" else "mse")
        if self.kind == "layers":
            model = PartConfig(f"{MAKING}:model", {"names": list(self.names)})
            named, loss = PartConfig(f"{HERE}:Compared"), PartConfig(f"{MAKING}:errors")
        return TrainConfig(
            train_steps=STEPS,
            global_batch_size=BATCH,
            virtual_replicas=self.virtual_replicas,
            precision=self.precision,
            execution=self.execution,
            task=named,
            model=model,
            loss=loss,
            regularizer=part if self.kind == "regularizers" else None,
            metrics=metrics if self.kind == "metrics" else (),
            optimizer=plain,
        )

    def examples(self):
        rng = np.random.default_rng(0)
        count = BATCH * STEPS
        shape, dtype = making.input_of(self.name) if self.kind == "layers" else ((4,), "float32")
        x = rng.uniform(size=(count, *shape)).astype(np.float32)
        if dtype == "int64":
            x = rng.integers(0, 4, (count, *shape))
        y = rng.normal(size=(count, 3)).astype(np.float32)
        if self.kind in ("losses", "metrics"):
            y = making.targets(self.kind, self.name, count, rng)
        return {"x": x, "y": y}

    def task(self):
        """Return the task, built, and the factor on its rates."""
        features = {n: Feature(v.shape[1:], str(v.dtype)) for n, v in self.examples().items()}
        scale = keras.Variable(1.0, trainable=False)
        given = {"total_steps": STEPS, "rate_scale": scale}
        return build.build_task(self.config(), features, **given), scale

    def optimizer(self):
        """Return the optimizer of the plain loop."""
        if self.kind == "optimizers":
            return making.optimizer(RATE, name=self.name)
        return keras.optimizers.SGD(RATE)

    def loss(self, labels, outputs):
        """Return the loss of a batch in the plain loop."""
        if self.kind == "losses":
            return making.loss(name=self.name)(labels, outputs)
        return tf.reduce_mean(making.errors(labels, outputs))

    def metric(self, name):
        """Return a metric, which sees all examples at once in the plain loop."""
        return making.metric(name=name)

    def penalty(self, model):
        """Return what the regularizer adds in the plain loop."""
        if self.kind != "regularizers":
            return 0.0
        found = making.regularizer(name=self.name)
        return sum(found(v.value) for v in model.trainable_variables if len(v.shape) > 1)
