"""Sharded state has the bits of one replica, whatever the optimizer; and is on none as a whole."""

import json

import pytest

from tests.engine.sharded import CASES
from tests.processes import trainer

FAST = ("adam", "lamb", "users", "mixing")
SLOW = [name for name in CASES if name not in FAST]


@pytest.fixture(scope="module")
def ends() -> dict[str, dict]:
    return outcomes(FAST)


def outcomes(names) -> dict[str, dict]:
    ended = trainer(*names, module=["tests.engine.sharded"], timeout=900)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", FAST)
def test_a_run_that_moves_on_sharded_replicas_ends_as_on_one(ends, name) -> None:
    assert ends[name]["others"] == ends[name]["one"]


def test_by_element_every_replica_has_its_share(ends) -> None:
    # 24 x 40, 40, 40 x 1 and 1 weights, two slots and an average of each, and a count.
    weights = 24 * 40 + 40 + 40 + 1
    held = ends["adam"]["bytes"]
    assert held["1"] == [3 * 4 * weights + 4]
    of_first = 256 + 40 + 40 + 1  # nothing smaller than 64 is cut
    assert held["4"] == [3 * 4 * n + 4 for n in (of_first, 256, 256, 192)]


def test_by_variable_one_replica_has_the_whole_of_it(ends) -> None:
    slots = [2 * 4 * n for n in (24 * 40, 40, 40, 1)]
    assert sorted(ends["lamb"]["bytes"]["8"]) == sorted(n + 4 for n in (*slots, 0, 0, 0, 0))


def test_what_mixes_variables_is_whole_on_every_replica(ends) -> None:
    held = ends["mixing"]["bytes"]
    assert held["4"] == held["1"] * 4


@pytest.fixture(scope="module")
def others() -> dict[str, dict]:
    return outcomes(SLOW)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_any_optimizer_ends_as_on_one_replica(others, name) -> None:
    assert others[name]["others"] == others[name]["one"]
