import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.info import Shard, Split
from trainer.data.serving.order import SequentialOrder, ShuffledOrder, WindowedOrder, training_order


def split_of(sizes, start=0, stop=None):
    shards = tuple(Shard(f"shard-{i}", n) for i, n in enumerate(sizes))
    return Split("train", shards, start, sum(sizes) if stop is None else stop)


def serve(order, start, stop):
    served = order.serve(tf.range(start, stop, dtype=tf.int64))
    return tuple(value.numpy() for value in served)


@st.composite
def plans(draw):
    """(order, batch size, epochs, calls): a run, cut by restarts and ends of calls at any step."""
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(lambda s: sum(s) > 1))
    start = draw(st.integers(0, sum(sizes) - 2))
    split = split_of(sizes, start, draw(st.integers(start + 1, sum(sizes))))
    window = draw(st.integers(0, sum(sizes) + 5))
    order = training_order(split, seed=draw(st.integers(0, 2**31 - 1)), window=window)
    batch_size = draw(st.integers(1, split.num_examples))
    epochs = draw(st.integers(1, 3))
    num_steps = -(-epochs * split.num_examples // batch_size)
    cuts = draw(st.lists(st.integers(0, num_steps), max_size=5))
    return order, batch_size, epochs, sorted({0, *cuts, num_steps})


def check_run(plan):
    order, batch_size, epochs, boundaries = plan
    total = order.split.num_examples
    whole, visits, firsts = serve(order, 0, boundaries[-1] * batch_size)
    for epoch in range(epochs):
        assert sorted(whole[epoch * total : (epoch + 1) * total]) == list(range(total))
    for first, last in itertools.pairwise(boundaries):
        ids, _, _ = serve(order, first * batch_size, last * batch_size)
        assert np.array_equal(ids, whole[first * batch_size : last * batch_size])
    for num_workers in (d for d in (2, 3, 4) if batch_size % d == 0):
        microbatch = batch_size // num_workers
        start = (boundaries[-1] - 1) * batch_size
        parts = [
            serve(order, start + w * microbatch, start + (w + 1) * microbatch)
            for w in range(num_workers)
        ]
        assert np.array_equal(np.concatenate([p[0] for p in parts]), whole[start:])
    check_visits(order, whole, visits, firsts)


def check_visits(order, ids, visits, firsts):
    reading_order = np.asarray(order.reading_order(len(ids)))
    starts = np.cumsum([0, *order.split.sizes])
    shards = reading_order[visits]
    assert (starts[shards] <= ids).all()
    assert (ids < starts[shards + 1]).all()
    for place in range(0, len(ids), max(1, len(ids) // 4)):
        assert (visits[place:] >= firsts[place]).all()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(plans())
def test_every_example_once_an_epoch_whatever_workers_and_restarts(plan):
    check_run(plan)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(plans())
def test_every_example_once_an_epoch_whatever_workers_and_restarts_at_length(plan):
    check_run(plan)


def test_a_window_that_covers_the_data_is_the_plain_order():
    plain = training_order(split_of([30, 12]), seed=3, window=0)
    for other in (
        training_order(split_of([30, 12]), seed=3, window=42),
        training_order(split_of([7, 7, 28]), seed=3, window=100),
    ):
        assert np.array_equal(serve(other, 0, 100)[0], serve(plain, 0, 100)[0])


def test_epochs_seeds_and_windows_differ():
    split = split_of([50, 50])
    orders = [
        serve(training_order(split, seed=seed, window=window), epoch * 100, epoch * 100 + 100)[0]
        for seed, window, epoch in itertools.product((0, 1), (0, 20, 30), (0, 1))
    ]
    assert len({tuple(order) for order in orders}) == len(orders)
    assert all((order != np.arange(100)).any() for order in orders)


def test_a_window_reads_near_by_only():
    order = WindowedOrder(split_of([10] * 20), seed=5, window=25)
    _, visits, _ = serve(order, 0, 200)
    for window in range(8):
        at = visits[window * 25 : (window + 1) * 25]
        assert at.max() - at.min() <= 3


def test_shards_are_permuted_anew_every_epoch():
    order = WindowedOrder(split_of([10] * 20), seed=5, window=25)
    epochs = [tuple(order.reading_order(600)[e * 20 : (e + 1) * 20]) for e in range(3)]
    assert len(set(epochs)) == 3
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)


@pytest.mark.parametrize(("size", "window"), [(8, 4), (100, 64), (300, 0), (1501, 0)])
def test_places_are_used_evenly_over_epochs(size, window):
    """The cipher's own key words, if they are small numbers, give a few places nearly always."""
    order = training_order(split_of([size]), seed=1, window=window)
    epochs = np.arange(1000)[:, None] * size + [[0, 1]]
    ids, _, _ = (x.numpy() for x in order.serve(tf.constant(epochs.reshape(-1), tf.int64)))
    choices = window or size
    for place in (0, 1):
        counts = np.bincount(ids[place::2], minlength=choices)
        # Mean and variance of a fair draw; six standard deviations.
        mean = 1000 / choices
        assert counts.max() < mean + 6 * mean**0.5 + 2
        assert (counts > 0).sum() > 0.9 * choices * (1 - np.exp(-mean))


def test_a_far_step_costs_what_the_first_one_costs():
    for window in (0, 10):
        order = training_order(split_of([30, 12]), seed=3, window=window)
        start = 10**9 * 42
        assert sorted(serve(order, start, start + 42)[0]) == list(range(42))


def test_evaluation_counts_every_example_once():
    order = SequentialOrder(split_of([5, 4], 1, 8))
    ids, _, _ = serve(order, 0, 10)
    weights = order.weights(tf.range(10, dtype=tf.int64)).numpy()
    assert ids[weights > 0].tolist() == list(range(7))
    assert weights.sum() == 7


def test_the_order_is_what_it_was():
    """A change here changes every run: raise ORDER_VERSION with it."""
    split = split_of([5, 4, 3])
    assert serve(ShuffledOrder(split, 1), 0, 12)[0].tolist() == PLAIN
    assert serve(WindowedOrder(split, 1, 4), 0, 12)[0].tolist() == WINDOWED


PLAIN = [3, 8, 9, 4, 5, 11, 6, 0, 2, 7, 1, 10]
WINDOWED = [5, 9, 11, 10, 8, 0, 6, 7, 4, 1, 3, 2]
