"""Parts as people bring them, each trained; prints what became of each, a line of JSON.

A process of its own: `python -m tests.parts.brought REPLICAS NAME ...`, where a name is that of a
class or function of the files `brought_*.py`; layers "A+B" are branches of one model.
"""

import dataclasses
import json
import sys

import keras
import tensorflow as tf

from tests.keras_parts import battery, cases
from tests.parts import (
    brought_graphs,  # noqa: F401 - adds to the layers
    brought_layers,
    brought_optimizers,
    brought_tasks,
)
from trainer.cluster import strategy
from trainer.config import PartConfig, TrainConfig
from trainer.task import Task

MADE = {**brought_layers.MADE, **brought_optimizers.MADE, **brought_tasks.MADE}


@dataclasses.dataclass(frozen=True)
class Brought(cases.Case):
    """Three outputs of three steps; the part that was brought is one of them."""

    def config(self):
        found = super().config()
        part = PartConfig(f"{MADE[self.name].__module__}:{self.name}")
        return dataclasses.replace(found, **self.parts(found, part))

    def parts(self, found, part):
        made, given = MADE[self.name], {"task": PartConfig(f"{cases.HERE}:Compared")}
        if self.name in brought_layers.MADE:
            model = PartConfig("tests.parts.brought:around", {"names": list(self.names)})
            return given | {"model": model, "loss": PartConfig(f"{cases.MAKING}:errors")}
        if self.name in brought_optimizers.MADE:
            part = dataclasses.replace(found.optimizer, name=part.name)
            return given | {"optimizer": part}
        kinds = {Task: "task", keras.losses.Loss: "loss"}
        for kind, field in kinds.items():
            if isinstance(made, type) and issubclass(made, kind):
                return given | {field: part}
        if isinstance(made, type) and issubclass(made, keras.Model):
            return {"model": PartConfig("tests.parts.brought:model", {"name": self.name})}
        return given | {"metrics": (part,)}

    def optimizer(self):
        if self.name in brought_optimizers.MADE:
            return MADE[self.name](cases.RATE)
        return super().optimizer()

    def examples(self):
        found = cases.Case("layers", ("Dense",)).examples()
        return {"x": found["x"][:, 0], "y": found["y"]}

    def metric(self, name):  # noqa: ARG002 - it may be called as it likes
        return MADE[self.name]()


def around(input_shape, num_outputs, *, names):
    """Return a model with a branch for each layer, which stands between two of Keras."""
    inputs = keras.Input(input_shape)
    if names == ["stateful_recurrence"]:
        inputs = keras.Input(batch_shape=(cases.BATCH // cases.V, *input_shape))
    branches = {}
    for name in names:
        x = MADE[name]()(keras.layers.Dense(4)(inputs))
        branch = keras.Model(inputs, keras.layers.Dense(num_outputs)(x), name=name)
        branches[name] = branch(inputs)
    return keras.Model(inputs, branches)


def model(input_shape, num_outputs, *, name):
    return MADE[name]()


def told(found):
    """Return what became of a part; a mistake of the user's is a refusal, as in the command."""
    return {"refused": found["mistake"]} if found.get("mistake") else found


def main(replicas, *names):
    strategy.configure_runtime(TrainConfig(epochs=1))
    for together in names:
        kind = "layers" if together.partition("+")[0] in brought_layers.MADE else "brought"
        for name, found in battery.outcomes(Brought(kind, (*together.split("+"),)), int(replicas)):
            print(json.dumps({"name": name, **told(found)}), flush=True)


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main(*sys.argv[1:])
