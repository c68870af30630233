"""What a task owns: every variable by name, and how virtual replicas may change it.

A step is a function of what is listed here. Whatever else it touches is refused: while it is traced
(`engine.virtual_replica`), or in its graph afterwards (`engine.audit`).
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from common.exit_codes import ExitCode, RunError

Rule = Literal["trained", "normalized", "mean", "sum", "read"]
"""How a variable may change while the virtual replicas of a step run.

- trained: by gradients only.
- normalized: by gradients, and by its layer in the forward pass, from the weight alone.
- mean: each virtual replica proposes a value, and the mean is kept.
- sum: each virtual replica adds something to it, and all of it is added.
- read: not at all. `train_step` may assign it, outside of `Replica.gradient`.
"""

# Layers of Keras that assign running means in the forward pass. What other layers of Keras assign
# there is no mean: the state of a stateful RNN belongs to one place of the batch.
_RUNNING_MEANS = (keras.layers.BatchNormalization, keras.layers.SpectralNormalization)


def held(holder: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Find what Keras would track: name -> variable, seed generator or layer, also in containers.

    Args:
        holder: attributes or items, by name.
        place: name of the holder.

    Raises:
        RunError: BAD_CONFIG for a `tf.Variable`, which no scope of Keras sees.
    """
    for key, value in holder.items():
        name = f"{place}/{key}"
        if isinstance(value, tf.Variable):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.task: {name.replace('/', '.')} is a tf.Variable, which is neither saved "
                "nor the same on every replica; write keras.Variable(value, trainable=False)",
            )
        if isinstance(value, keras.Variable | keras.random.SeedGenerator | keras.Layer):
            yield name, value
        elif isinstance(value, Mapping):
            yield from held({str(k): v for k, v in value.items()}, name)
        elif isinstance(value, list | tuple):
            yield from held({str(i): v for i, v in enumerate(value)}, name)


def named_variables(name: str, thing: Any) -> Iterator[tuple[str, keras.Variable]]:
    """Name the variables of a layer, an optimizer, a seed generator, or the variable itself."""
    if isinstance(thing, keras.Variable):
        yield name, thing
    elif isinstance(thing, keras.random.SeedGenerator):
        yield f"{name}/seed_generator_state", thing.state
    else:
        for index, variable in enumerate(thing.variables):
            yield f"{name}/{index:03d}/{variable.path}", variable


def rules(thing: Any) -> dict[int, Rule]:
    """Return id -> rule of every variable of a layer, a seed generator, or the variable itself."""
    if isinstance(thing, keras.random.SeedGenerator):
        return {}
    if isinstance(thing, keras.Variable):
        return {id(thing): _rule(thing, None)}
    found: dict[int, Rule] = {}
    layers = thing._flatten_layers()
    for layer in layers:
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            found[id(variable)] = _rule(variable, layer)
    for layer in layers:
        if getattr(layer, "synchronized", False):
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"layer {layer.name!r} has synchronized=True: its statistics would be of all "
                "microbatches of a replica and change with the hardware; leave it out (each "
                "microbatch has statistics of its own), or set config.virtual_replicas=1",
            )
        if isinstance(layer, keras.layers.TFSMLayer) and layer.trainable_variables:
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"layer {layer.name!r} is a TFSMLayer: its function reads its weights past Keras, "
                "so they would not be trained; set trainable=False to use them as they are",
            )
        if isinstance(layer, keras.layers.SpectralNormalization):
            found[id(layer.kernel)] = "normalized"  # it belongs to the layer inside
    return found


def created_as(thing: Any) -> dict[int, Literal["weight", "statistic"]]:
    """Return id -> what a variable was made as, of a layer or the variable itself.

    A weight stays one when its layer is frozen. States of seed generators are neither.
    """
    if isinstance(thing, keras.random.SeedGenerator):
        return {}
    if isinstance(thing, keras.Variable):
        return {id(thing): "weight" if thing.trainable else "statistic"}
    layers = thing._flatten_layers()
    found: dict[int, Literal["weight", "statistic"]]
    found = {id(v): "statistic" for layer in layers for v in layer._non_trainable_variables}
    return found | {id(v): "weight" for layer in layers for v in layer._trainable_variables}


def _rule(variable: keras.Variable, layer: keras.Layer | None) -> Rule:
    if variable.trainable:
        return "trained"
    if variable.aggregation in ("mean", "sum"):
        return variable.aggregation
    return "mean" if isinstance(layer, _RUNNING_MEANS) else "read"


@contextlib.contextmanager
def unchanged_numbers(task: object) -> Iterator[None]:
    """Refuse a task whose Python numbers change meanwhile: a step is traced once, not run.

    Raises:
        RunError: BAD_CONFIG naming the attribute.
    """
    before = _numbers(task)
    yield
    for name, value in _numbers(task).items():
        if repr(before.get(name, value)) != repr(value):  # nan is not equal to itself
            raise RunError(
                ExitCode.BAD_CONFIG,
                f"config.task: train_step changes the Python number self.{name}, which was "
                f"{before[name]}: Python runs once, when the step is traced; write "
                f"self.{name} = keras.Variable({before[name]}, trainable=False)",
            )


def _numbers(holder: object) -> dict[str, int | float]:
    kinds = (int, float)
    return {n: v for n, v in vars(holder).items() if type(v) in kinds}
