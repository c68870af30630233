"""A running average of the weights: evaluated, shown and exported instead of the last ones."""

from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf


class WeightAverage:
    """a' = d * a + (1 - d) * w after every update, with d = min(decay, (1 + t) / (10 + t)).

    The ramp lets the average forget the first, random weights of a short run. Batch statistics
    are averaged like weights: those of the last step do not fit to weights of many.

    Args:
        models: role -> built model; every floating-point variable of theirs is averaged.
        decay: largest d, in (0, 1).

    Attributes:
        is_sharded: whether no replica has the whole of an average: who shows the models then puts
            the averages in their place (`Session.averages_in_place`).

    Source: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; the
    ramp is that of `tf.train.ExponentialMovingAverage` with its `num_updates`.
    """

    def __init__(self, models: Mapping[str, keras.Model], decay: float) -> None:
        self._decay = decay
        self._pairs = {
            f"{role}/{index:03d}/{variable.path}": (variable, _copy(variable))
            for role, model in models.items()
            for index, variable in enumerate(model.variables)
            if tf.as_dtype(variable.dtype).is_floating
        }
        self.is_sharded = False
        self._of = {id(variable): average for variable, average in self._pairs.values()}

    def state(self) -> Iterator[tuple[str, keras.Variable]]:
        """Name the averages, in the order of the models' variables."""
        for name, (_, average) in self._pairs.items():
            yield name, average

    def pairs(self) -> Iterator[tuple[keras.Variable, keras.Variable]]:
        """Yield every variable that is averaged, with its average."""
        yield from self._pairs.values()

    def update(self, step: tf.Tensor) -> None:
        """Move every average towards its variable as it is now; `step` is t, int64[]."""
        t = tf.cast(step, tf.float32)
        rest = 1.0 - tf.minimum(self._decay, (1.0 + t) / (10.0 + t))
        for variable, average in self._pairs.values():
            old = tf.convert_to_tensor(average)
            average.assign(old + tf.cast(rest, old.dtype) * (tf.convert_to_tensor(variable) - old))

    def of(self, variable: keras.Variable) -> keras.Variable:
        """Return the average of a variable; itself where it has none, as state of random seeds."""
        return self._of.get(id(variable), variable)

    def scope(self) -> keras.StatelessScope:
        """Return a scope in which the models compute with their averages; nothing is written."""
        pairs = () if self.is_sharded else self._pairs.values()
        return keras.StatelessScope(
            [(variable, tf.convert_to_tensor(average)) for variable, average in pairs]
        )

    def put_in_place(self) -> None:
        """Overwrite the models with their averages; the run cannot go on from there."""
        for variable, average in () if self.is_sharded else self._pairs.values():
            variable.assign(average)


def _copy(variable: keras.Variable) -> keras.Variable:
    value = variable.numpy()
    return keras.Variable(value, dtype=variable.dtype, trainable=False, name="average")
