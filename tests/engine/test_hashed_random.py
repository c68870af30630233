"""Bits inside a compiled program: fair, unrelated, and a function of key and place alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.engine.hashed_random import hashed_bits, hashed_dropout, hashed_seeds
from trainer.engine.reduction import global_norm

KEYS = [[0, 0], [0, 1], [1, 0], [64, 1 << 33], [-1, 7]]


def bits(key, shape=(64, 256)):
    return hashed_bits(tf.constant(key, tf.int64), shape).numpy()


def test_every_bit_is_set_half_of_the_time_and_every_place_differs():
    drawn = bits(KEYS[1])
    shares = [float(np.mean(drawn >> bit & 1)) for bit in range(32)]
    # 16,384 fair coins: the standard deviation of a share is 0.004.
    assert max(abs(share - 0.5) for share in shares) < 0.02
    assert len(np.unique(drawn)) > 16_380


def test_neighbouring_steps_microbatches_and_places_are_unrelated():
    masks = np.stack([bits(key) >= 1 << 31 for key in KEYS]).reshape(len(KEYS), -1) - 0.5
    shifted = np.roll(masks[1], 1)[np.newaxis], np.roll(masks[1], 256)[np.newaxis]
    related = np.corrcoef(np.concatenate([masks, *shifted]))
    assert np.abs(related - np.eye(len(related))).max() < 0.04


def test_the_bits_are_the_same_inside_a_program():
    compiled = tf.function(lambda key: hashed_bits(key, [100]), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(KEYS[3], tf.int64)), bits(KEYS[3], [100]))


def test_every_generator_gets_its_own_key():
    assert (
        len({tuple(seed) for seed in hashed_seeds(tf.constant([3, 4], tf.int64), 50).numpy()}) == 50
    )


@pytest.mark.parametrize("noise_shape", [None, (None, 1, 32)])
def test_a_keras_layer_drops_its_share_and_scales_the_rest(noise_shape):
    layer = keras.layers.Dropout(0.25, noise_shape=noise_shape, seed=1)
    with hashed_dropout():
        dropped = layer(tf.ones([64, 16, 32]), training=True).numpy()
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert np.mean(dropped == 0) == pytest.approx(0.25, abs=0.04)
    assert (dropped == dropped[:, :1]).all() == (noise_shape is not None)


def test_keras_draws_as_before_afterwards():
    before = keras.src.backend.random.dropout
    with hashed_dropout():
        assert keras.src.backend.random.dropout is not before
    assert keras.src.backend.random.dropout is before


@pytest.mark.parametrize("in_program", [False, True])
def test_the_norm_counts_every_element_once(in_program):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=shape).astype(np.float32) for shape in ((1,), (31,), (70, 50), ())]
    norm = tf.function(lambda xs: global_norm(xs, in_program=in_program), jit_compile=in_program)
    expected = np.sqrt(sum(np.sum(p.astype(np.float64) ** 2) for p in parts))
    assert float(norm([tf.constant(p) for p in parts])) == pytest.approx(expected, rel=1e-5)
