"""The linter on manifests that others have written: silent where they work, exact where not."""

import re

import pytest
from foreign_faults import FAULTS
from foreign_faults_more import MORE
from foreign_faults_words import WORDS
from plant import FOREIGN, load, plant
from trainjob_faults import TRAINJOBS

from launch.lint import lint
from launch.lint.arguments import check_arguments
from launch.lint.schemas import check_schemas

KINDS = {**FAULTS, **MORE, **WORDS, **TRAINJOBS}
ROWS = [(kind, *row) for kind, rows in KINDS.items() for row in rows]


def findings(documents: list[dict]) -> list[str]:
    found = [*lint(documents), *check_arguments(documents), *check_schemas(documents)]
    return [str(one) for one in found]


def test_there_are_enough_faults_manifests_and_kinds():
    assert len(ROWS) >= 120
    assert len(KINDS) >= 40
    assert len(FOREIGN) >= 12
    assert {row[1] for row in ROWS} >= set(FOREIGN)


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_nothing_is_said_of_a_correct_manifest(name):
    assert findings(load(name)) == []


@pytest.mark.parametrize(
    ("kind", "base", "document", "path", "value", "word"),
    ROWS,
    ids=[f"{n}-{row[0].replace(' ', '_')}-{row[1]}" for n, row in enumerate(ROWS)],
)
def test_a_planted_fault_is_named(kind, base, document, path, value, word):  # noqa: PLR0917
    found = findings(plant(load(base), document, path, value))
    assert any(re.search(re.escape(word).replace(r"\|", "|"), one) for one in found), found
