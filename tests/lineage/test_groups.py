"""Rates and weight decay by variable, whatever the optimizer."""

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["adamw", "midpoint", "Signs"])
def test_a_group_has_its_rate_in_every_optimizer(runs, name):
    moved = runs["groups"][name]["moved"]
    slow = [value for path, value in moved.items() if "/dense/" in path or "/bn/" in path]
    fast = [value for path, value in moved.items() if "/head/" in path]
    trained = [value for value in slow if value < 1e-3]  # the statistics of bn have no rate
    assert len(trained) == 4
    assert max(trained) < 1e-4
    assert min(fast) > 1e-3
    if name == "Signs":
        assert trained == pytest.approx([1e-5] * 4, rel=1e-2)
        assert fast == pytest.approx([1e-2] * 2, rel=1e-4)


@pytest.mark.parametrize("name", ["adamw", "midpoint", "Signs"])
def test_it_is_the_same_on_two_replicas(runs, name):
    one, two = runs["groups"][name]["digests"]
    assert two == one


def test_a_group_has_its_weight_decay_at_the_rate_of_its_optimizer(runs):
    before, after = (np.asarray(w) for w in runs["groups"]["decayed"])
    decayed = before - before * 0.5 * 0.01
    assert np.abs(np.abs(after - decayed) - 0.01).max() < 1e-6


def test_a_path_that_names_nothing_is_refused(runs):
    refused = runs["groups"]["mistyped"]["refused"]
    assert (
        "config.optimizer.groups[0].include: 'dens' names no variable; did you mean 'dense'?"
        in refused
    )
