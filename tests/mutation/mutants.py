"""Small faults in a program's text, one at a time: what a test suite has to notice."""

import ast
import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

_COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_BINARY = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitXor: ast.BitAnd,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        line: where.
        what: the change in words.
        tree: of the whole changed module.
    """

    line: int
    what: str
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(source)
    for index, node in enumerate(ast.walk(tree)):
        if type(node) not in _FAULTS:
            continue
        changed = copy.deepcopy(tree)
        target = next(n for i, n in enumerate(ast.walk(changed)) if i == index)
        if what := _FAULTS[type(node)](target):
            yield Mutant(node.lineno, what, ast.fix_missing_locations(changed))


def _compare(node: ast.Compare) -> str:
    return _swap(node.ops[0], _COMPARE, lambda new: node.ops.__setitem__(0, new))


def _binary(node: ast.BinOp) -> str:
    texts = (ast.JoinedStr, ast.Constant)
    if any(isinstance(s, texts) and not _is_number(s) for s in (node.left, node.right)):
        return ""
    return _swap(node.op, _BINARY, lambda new: setattr(node, "op", new))


def _boolean(node: ast.BoolOp) -> str:
    return _swap(node.op, {ast.And: ast.Or, ast.Or: ast.And}, lambda new: setattr(node, "op", new))


def _negation(node: ast.UnaryOp) -> str:
    if not isinstance(node.op, ast.Not):
        return ""
    node.operand = ast.UnaryOp(ast.Not(), node.operand)
    return "not dropped"


def _constant(node: ast.Constant) -> str:
    if not _is_number(node):
        return ""
    old = node.value
    node.value = not old if isinstance(old, bool) else old + 1
    return f"{old} -> {node.value}"


def _call(node: ast.Expr) -> str:
    if not isinstance(node.value, ast.Call):
        return ""
    node.value = ast.Constant(None)
    return "call dropped"


def _return(node: ast.Return) -> str:
    if node.value is None:
        return ""
    node.value = ast.Constant(None)
    return "returns None"


def _raise(node: ast.Raise) -> str:
    node.__class__, node.value = ast.Expr, ast.Constant(None)  # the same statement's place
    return "raise dropped"


_FAULTS: dict[type[ast.AST], Callable[[Any], str]] = {
    ast.Compare: _compare,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _negation,
    ast.Constant: _constant,
    ast.Expr: _call,
    ast.Return: _return,
    ast.Raise: _raise,
}


def _swap(old: ast.AST, table: dict[Any, Any], put: Callable[[ast.AST], None]) -> str:
    new = table.get(type(old))
    if new is None:
        return ""
    put(new())
    return f"{type(old).__name__} -> {new.__name__}"


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool | int)
