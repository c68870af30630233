"""The hash of a variable: exact, of every bit, and what its formula says."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from trainer.engine.replica_hashes import _ROW, _WEIGHTS, hash_of

RNG = np.random.default_rng(0)


def formula(bits: np.ndarray) -> int:
    """The sum over i of bits[i] * weight of its column * weight of its row, modulo 2^64."""
    place = np.arange(len(bits))
    rows = np.resize(_WEIGHTS[_ROW:], len(bits) // _ROW + 1)
    with np.errstate(over="ignore"):
        return int(
            (bits.astype(np.int64) * _WEIGHTS[:_ROW][place % _ROW] * rows[place // _ROW]).sum()
        )


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (_ROW,), (_ROW + 1,), (5, _ROW // 2)])
def test_it_is_what_the_formula_says(shape) -> None:
    value = RNG.normal(size=shape).astype(np.float32)
    assert int(hash_of(tf.constant(value))) == formula(value.reshape(-1).view(np.int32))


def test_every_bit_of_every_place_changes_it() -> None:
    value = RNG.normal(size=2 * _ROW + 7).astype(np.float32)
    before = int(hash_of(tf.constant(value)))
    for place in (0, 7, _ROW - 1, _ROW, 2 * _ROW + 6):
        for bit in range(32):
            flipped = value.copy()
            flipped.view(np.uint32)[place] ^= np.uint32(1 << bit)
            assert int(hash_of(tf.constant(flipped))) != before


def test_hashes_of_parts_add_up_to_that_of_the_whole() -> None:
    value = RNG.normal(size=2 * _ROW + 7).astype(np.float32)
    places = [0, 64, 64, _ROW, _ROW + 128, 2 * _ROW + 7]
    parts = [hash_of(tf.constant(value[a:b]), a) for a, b in itertools.pairwise(places)]
    assert int(tf.add_n(parts)) == int(hash_of(tf.constant(value)))


def test_numbers_that_change_places_change_it() -> None:
    value = np.arange(6, dtype=np.float32)
    assert int(hash_of(tf.constant(value))) != int(hash_of(tf.constant(value[::-1].copy())))


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "bfloat16", "float16", "int8", "uint8", "int32", "int64", "bool"],
)
def test_numbers_of_any_kind_have_one(dtype) -> None:
    one = tf.cast(tf.constant([0, 1, 1]), dtype)
    other = tf.cast(tf.constant([0, 1, 0]), dtype)
    assert int(hash_of(one)) == int(hash_of(tf.identity(one))) != int(hash_of(other))
