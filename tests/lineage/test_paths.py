"""Paths of variables as people write them; nothing is trained."""

import pytest

from common.exit_codes import RunError
from trainer.engine.variable_paths import by_path, fits, refuse_idle

NAMES = ("main/003/dense/kernel", "main/1004/dense/kernel", "task/strength", "main/005/100/bias")


def test_a_path_is_a_name_without_the_place_in_the_model() -> None:
    assert by_path(NAMES) == {
        "main/dense/kernel": NAMES[0],
        "main/dense/kernel#2": NAMES[1],
        "task/strength": NAMES[2],
        "main/100/bias": NAMES[3],
    }


@pytest.mark.parametrize(
    "pattern",
    ["main/dense/kernel", "dense/kernel", "dense", "main/dense", "main", "*/kernel", "d*", "*"],
)
def test_a_pattern_is_a_path_or_the_beginning_of_it(pattern: str) -> None:
    assert fits("main/dense/kernel", pattern)


@pytest.mark.parametrize("pattern", ["den", "kernel", "dense_1", "main/kernel", "dense/", ""])
def test_half_a_name_is_none(pattern: str) -> None:
    assert not fits("main/dense/kernel", pattern)


@pytest.mark.parametrize(("pattern", "near"), [("haed", "'head'"), ("head/kernl", "'head/kernel'")])
def test_a_pattern_that_names_nothing_is_refused_with_the_nearest(pattern: str, near: str) -> None:
    with pytest.raises(RunError, match=f"config.init.exclude: '{pattern}' .*did you mean {near}"):
        refuse_idle(["dense", pattern], ["main/dense/kernel", "main/head/kernel"], "init.exclude")
