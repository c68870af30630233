"""The faults that are planted: one a mutant, each another program."""

import ast

from tests.mutation.mutants import mutants

SOURCE = """
def f(a, b):
    if not a and b < 3:
        raise ValueError('too small')
    log(a)
    return a + b * 2
"""


def test_each_mutant_is_another_program_with_one_change() -> None:
    original = ast.unparse(ast.parse(SOURCE)).splitlines()
    found = {}
    for mutant in mutants(SOURCE):
        changed = ast.unparse(mutant.tree).splitlines()
        assert sum(a != b for a, b in zip(original, changed, strict=True)) == 1
        compile(mutant.tree, "mutant", "exec")
        found.setdefault(mutant.line - 1, []).append(mutant.what)
    assert found == {
        2: ["And -> Or", "not dropped", "Lt -> LtE", "3 -> 4"],
        3: ["raise dropped"],
        4: ["call dropped"],
        5: ["returns None", "Add -> Sub", "Mult -> Add", "2 -> 3"],
    }
