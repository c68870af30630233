"""Sums of many terms have one order, whichever of their buffers happens to be free."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.engine import graphs, reduction


@pytest.mark.parametrize("count", [*range(1, 12), 15, 16, 17, 18, 25])
def test_the_order_is_that_of_the_kernel_that_overwrites_nothing(count):
    terms = [tf.constant(x) for x in np.random.default_rng(count).normal(size=[count, 999])]
    expected = reduction._add_n(terms)  # read here, too: none of them is overwritten
    assert np.array_equal(tf.add_n(terms), expected)


def wide(ops):
    return [op for op in ops if op.type == "AddN" and len(op.inputs) > 2]


@pytest.mark.parametrize("by", ["tape", "symbols"])
def test_a_tensor_that_is_read_often_has_no_gradient_of_any_order(by):
    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.exp(x) * x + tf.sin(x) + x
        return tape.gradient(y, x) if by == "tape" else tf.gradients(y, x)

    graph = step.get_concrete_function(tf.TensorSpec([9])).graph
    assert not wide(graphs.operations(graph))


def test_what_is_no_float_is_added_as_before():
    assert int(tf.add_n([tf.constant(1), tf.constant(2), tf.constant(4)])) == 7
