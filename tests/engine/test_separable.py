"""What may be cut is read off the update: element by element, by variable, or not at all."""

import keras
import pytest

from tests.parts.brought_optimizers import MADE
from trainer.engine.optimizer import backend_neutral, build_slots
from trainer.engine.separable import separate


class CountsVariables(keras.optimizers.SGD):
    """Divides by the number of variables that it is given."""

    def apply(self, grads, trainable_variables=None):
        super().apply([g / len(grads) for g in grads], trainable_variables)


class FollowsTheFirst(keras.optimizers.SGD):
    """Reads another variable than the one it updates."""

    def update_step(self, gradient, variable, learning_rate):
        first = keras.ops.sum(self._trainable_variables[0])
        super().update_step(gradient * first, variable, learning_rate)


class Reverses(keras.optimizers.SGD):
    """Mixes the elements of a variable, in its own shape."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(keras.ops.flip(gradient), variable, learning_rate)


class DecaysMatrices(keras.optimizers.SGD):
    """Does by element what it chooses by the number of axes."""

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) > 1:
            gradient = gradient + 0.1 * variable
        super().update_step(gradient, variable, learning_rate)


class LooksAtTheSize(keras.optimizers.SGD):
    """Does by element what it chooses by the shape."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient / variable.shape[0], variable, learning_rate)


class AddsAConstantOfItsShape(keras.optimizers.SGD):
    """Knows the places of the elements."""

    def update_step(self, gradient, variable, learning_rate):
        places = keras.ops.reshape(keras.ops.arange(gradient.shape.num_elements()), gradient.shape)
        places = keras.ops.cast(places, gradient.dtype)
        super().update_step(gradient + places, variable, learning_rate)


def found(optimizer, constraint=None):
    """Return what is found of a kernel and a bias."""
    model = keras.Sequential(
        [keras.Input([6]), keras.layers.Dense(8, kernel_constraint=constraint)]
    )
    with backend_neutral():
        build_slots(optimizer, model.trainable_variables)
    return separate(optimizer)


@pytest.mark.parametrize(
    ("make", "slots", "by_element"),
    [
        (keras.optimizers.Adam, [2, 2], [True, True]),
        (keras.optimizers.Ftrl, [2, 2], [True, True]),
        (keras.optimizers.Nadam, [2, 2], [True, True]),
        (keras.optimizers.Lamb, [2, 2], [False, False]),
        (keras.optimizers.Adafactor, [3, 1], [False, False]),
        (keras.optimizers.Muon, [1, 2], [False, True]),
        (MADE["with_slots"], [1, 1], [True, True]),
        (MADE["CentersGradients"], [0, 0], [False, False]),
        (Reverses, [0, 0], [False, False]),
        (DecaysMatrices, [0, 0], [True, True]),
        (LooksAtTheSize, [0, 0], [False, False]),
        (AddsAConstantOfItsShape, [0, 0], [False, False]),
    ],
)
def test_an_update_by_itself_is_told_from_its_graph(make, slots, by_element) -> None:
    separated = found(make(0.1))
    assert [len(each.slots) for each in separated] == slots
    assert [each.by_element for each in separated] == by_element


@pytest.mark.parametrize(
    "make",
    [
        MADE["WithAVariableOfItsOwn"],
        MADE["CountsUpdates"],
        MADE["AddsNoise"],
        MADE["AddsNoiseWithoutASeed"],
        CountsVariables,
        FollowsTheFirst,
    ],
)
def test_an_update_that_depends_on_others_is_not_cut(make) -> None:
    assert found(make(0.1)) is None


def test_a_constraint_belongs_to_the_update() -> None:
    by_norm = found(keras.optimizers.Adam(0.1), keras.constraints.MaxNorm(1.0))
    assert [each.by_element for each in by_norm] == [False, True]
    by_sign = found(keras.optimizers.Adam(0.1), keras.constraints.NonNeg())
    assert [each.by_element for each in by_sign] == [True, True]
