"""No promise without a test: every test that the page names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_row_has_tests_that_exist() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| R\d+ ", line)]
    assert [row.split()[1] for row in rows] == [f"R{n}" for n in range(1, 23)]
    for row in rows:
        file = ""
        names = re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", row)
        assert names, row
        for path, name in names:
            file = path or file
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
        assert "@" not in row, row
