"""The table of tests is complete, and every test in it is there."""

import ast
import pathlib

import pytest

from tests.behaviour import ignored
from tests.behaviour.table import TESTS
from tests.processes import ROOT


def test_every_field_and_flag_has_its_test():
    assert sorted(TESTS) == sorted(ignored.names())


@pytest.mark.parametrize("test", sorted(set(TESTS.values())))
def test_the_test_is_there_and_is_run(test):
    file, _, name = test.partition("::")
    found = [node for node in functions_of(ROOT / file) if node.name == name.partition("[")[0]]
    assert len(found) == 1
    # A test that is never run notices nothing.
    marks = {ast.unparse(mark) for mark in found[0].decorator_list}
    assert not {mark for mark in marks if "skip" in mark or "xfail" in mark}
    assert ("[" in name) == any("parametrize" in mark for mark in marks)


def functions_of(file: pathlib.Path) -> list[ast.FunctionDef]:
    tree = ast.parse(file.read_text())
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_what_ignores_a_field_or_flag_is_a_program():
    for fault in ignored.faults():
        file, code = ignored._change(fault.name)
        compile((ROOT / file).read_text() + code, fault.name, "exec")
