"""Sharded state has the bits of one replica, whatever the optimizer; and is on none as a whole."""

import json

import pytest

from tests.engine.sharded import CASES, FAST, HIDDEN, INPUTS
from tests.processes import trainer

SIZES = (INPUTS * HIDDEN, HIDDEN, HIDDEN, 1)
AVERAGES = [sum(sizes) for sizes in ((256, 40, 40, 1), (256,), (256,), (192,))]
"""Elements of the four replicas: nothing that is smaller than 64 is cut."""
COUNT = 8  # bytes of the count of updates


def outcomes(virtual_replicas, placements, names):
    args = (str(virtual_replicas), placements, *names)
    ended = trainer(*args, module=["tests.engine.sharded"], timeout=900)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def ends():
    return outcomes(4, "2,4", FAST)


def test_a_run_that_moves_on_sharded_replicas_ends_as_on_one(ends) -> None:
    assert ends["others"] == ends["one"]


def of(ends, name, replicas):
    """Return the bytes that each replica holds of the optimizer alone, without its count."""
    found = ends["bytes"][str(replicas)][list(FAST).index(name)]
    averages = AVERAGES if replicas == 4 else [sum(SIZES)]
    return [held - 4 * n - COUNT for held, n in zip(found, averages, strict=True)]


def test_by_element_every_replica_has_its_share(ends) -> None:
    assert of(ends, "adam", 1) == [2 * 4 * sum(SIZES)]
    assert of(ends, "adam", 4) == [2 * 4 * n for n in AVERAGES]
    assert of(ends, "users", 4) == [4 * n for n in AVERAGES]


def test_by_variable_one_replica_has_the_whole_of_it(ends) -> None:
    held = of(ends, "lamb", 4)
    assert max(held) == 2 * 4 * max(SIZES)
    assert sum(held) == 2 * 4 * sum(SIZES)
    assert min(held) == 0, "one that owns nothing has to count its updates all the same"


@pytest.mark.slow
@pytest.mark.parametrize("placements", ["8", "8,2"])
def test_any_optimizer_ends_as_on_one_replica(placements) -> None:
    ends = outcomes(8, placements, CASES)
    assert ends["others"] == ends["one"]
    # What mixes variables is whole on every replica: one slot, a count and a scale.
    mixing = ends["bytes"]["8"][list(CASES).index("mixing")]
    assert min(mixing) >= 4 * sum(SIZES) + COUNT + 4
