"""No promise without a test: every test that the page names exists, and runs when the page says."""

import ast
import re
from functools import cache

import pytest

from tests.processes import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()
PROMISES = dict(re.findall(r"^### (R\d+)\.(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
TABLE = re.compile(r"^\| `(tests/[\w/]+\.py)` \| run \|\n\|---\|---\|\n((?:\|.+\n)+)", re.MULTILINE)
ROW = re.compile(r"\| `(test_\w+)` \| ((?:fast|slow)(?:, slow)?)(?:, (twin|control))? \|")


@cache
def cuts_by_name(file: str) -> dict[str, set[str]]:
    """Return name -> which of the cuts "fast" and "slow" run cases of it."""
    body = ast.parse((ROOT / file).read_text()).body
    return {node.name: cuts(node) for node in body if isinstance(node, ast.FunctionDef)}


def cuts(node: ast.FunctionDef) -> set[str]:
    marks = [ast.unparse(decorator) for decorator in node.decorator_list]
    if any(mark.startswith("pytest.mark.slow") for mark in marks):
        return {"slow"}
    return {"fast", "slow"} if any("mark.slow" in mark for mark in marks) else {"fast"}


def rows(promise: str) -> list[tuple[str, str, str, str]]:
    """Return file, test, cuts and kind of every row; a row of another form is an error."""
    found = []
    for file, table in TABLE.findall(PROMISES[promise]):
        for line in table.splitlines():
            row = ROW.fullmatch(line)
            assert row, line
            found.append((file, row[1], row[2], row[3] or ""))
    return found


def test_the_page_has_every_promise_once() -> None:
    assert re.findall(r"^### (R\d+)\.", PAGE, flags=re.MULTILINE) == [f"R{n}" for n in range(1, 24)]
    assert len(TABLE.findall(PAGE)) == PAGE.count("| `tests/")
    assert "@" not in PAGE


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_tests_that_exist(promise: str) -> None:
    assert any(not kind for *_, kind in rows(promise)), "a promise needs a test of its own"
    for file, name, said, _ in rows(promise):
        assert cuts_by_name(file).get(name) == set(said.split(", ")), f"{file}::{name}"


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_a_twin_or_says_why_not(promise: str) -> None:
    has_twin = any(kind == "twin" for *_, kind in rows(promise))
    assert has_twin != ("\nNo twin: " in PROMISES[promise])
