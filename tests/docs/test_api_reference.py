"""The API reference is that of the code, and the docstrings say what is there."""

import ast

import pytest

from tests.docs import api_reference
from tests.processes import ROOT


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "api.md").read_text() == api_reference.page()


ARGS = '"""F.\n\n    Args:\n        a: it.\n    """'


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(): ...", "no docstring"),
        (f"def f(a, b):\n    {ARGS}", "'b' is not described"),
        (f"def f():\n    {ARGS}", "no argument 'a'"),
        ('class C:\n    """C."""\n    def m(self): ...', "m: no docstring"),
    ],
)
def test_a_wrong_docstring_is_an_error(source: str, fault: str) -> None:
    faults: list[str] = []
    api_reference.entry(ast.parse(source).body[0], "module", faults)
    assert len(faults) == 1
    assert fault in faults[0]


def test_what_a_user_imports_is_in_it() -> None:
    text = api_reference.page()
    for name in ("trainer.train", "trainer.TrainConfig", "trainer.Task"):
        assert f"### `{name}`" in text
