"""A mistake in an experiment file is one line with its place, and no bug of ours."""

import re

import pytest

from tests.mistakes.drawn import DRAWS
from tests.mistakes.judge import Outcome, outcomes
from tests.mistakes.mutations import MUTATIONS, chosen

# What is wrong with a value that a part has returned is said of the part.
_PLACE = re.compile(r"mine\.py:\d+|config\.[a-z_]+|the loss (returned|has shape)|no get_config")


def check(found: list[Outcome]) -> None:
    for outcome in found:
        assert outcome.code in (0, 78), (outcome.kind, outcome.name, outcome.output)
        assert "Traceback" not in outcome.output, (outcome.kind, outcome.name, outcome.output)
        said = outcome.last_line
        assert outcome.code == 0 or said.startswith("bad_config (78): "), said
        assert outcome.code == 0 or _PLACE.search(said), (outcome.kind, outcome.name, said)


def test_the_battery_is_of_every_kind() -> None:
    battery = chosen(200)
    assert len(battery) > 190
    assert {mutant.kind for mutant in battery} == {kind.__name__ for kind in MUTATIONS}


def test_a_mistake_is_one_line_with_its_place(tmp_path) -> None:
    found = outcomes("fast", tmp_path)
    check(found)
    assert sum(outcome.code == 78 for outcome in found) > len(found) / 2


@pytest.mark.slow
def test_two_hundred_mistakes_are(tmp_path) -> None:
    found = outcomes("all", tmp_path)
    check(found)
    assert sum(outcome.code == 78 for outcome in found) > 150  # the others are no mistakes


def test_frozen_draws_are_found_before_they_train_for_hours(tmp_path) -> None:
    for outcome in outcomes("drawn", tmp_path):
        says = DRAWS[outcome.name][1]
        assert outcome.code == (78 if says else 0), (outcome.name, outcome.output)
        assert says in outcome.last_line, (outcome.name, outcome.last_line)
