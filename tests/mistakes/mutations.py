"""Experiment files with one mistake each, made from those that ship: drawn, not picked.

Every mutation is of a kind that people make. Where one can be made at many places of a file, all of
them are listed; `chosen` takes so many, evenly over files and kinds.
"""

import ast
import copy
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

from tests.processes import ROOT

FILES = tuple(
    ROOT / name
    for name in (
        "trainer/template/experiment.py",
        "tests/entry/custom_experiment.py",
        "tests/mistakes/custom_task.py",
    )
)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A file with one mistake.

    Attributes:
        kind: of the mistake.
        name: where it is.
        text: of the file.
    """

    kind: str
    name: str
    text: str


Mutation = Callable[[ast.AST], Iterator[None]]
"""Changes a node in place, yields, and changes it back, once for each way to change it."""


def drops_a_parameter(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.FunctionDef):
        yield from _without_each(node.args.args)
        yield from _without_each(node.args.kwonlyargs, node.args.kw_defaults)


def drops_an_argument(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Call):
        yield from _without_each(node.args)
        yield from _without_each(node.keywords)


def adds_an_argument(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Call):
        node.keywords.append(ast.keyword("wdith", ast.Constant(3)))
        yield
        node.keywords.pop()


def misspells_a_name(node: ast.AST) -> Iterator[None]:
    for field in ("id", "attr", "arg"):
        word = getattr(node, field, None)
        is_name = isinstance(node, ast.keyword | ast.Attribute | ast.Name)
        if is_name and isinstance(word, str) and len(word) > 2:
            yield from _with(node, field, word[0] + word[2] + word[1] + word[3:])


def misspells_a_method(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.FunctionDef):
        yield from _with(node, "name", node.name.replace("_", "") + "x")


def misspells_a_text(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.islower():
        yield from _with(node, "value", node.value + "s")


def returns_nothing(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Return):
        yield from _with(node, "value", None)


def returns_another_type(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Return) and node.value is not None:
        value = node.value
        pair = ast.Tuple([value, value], ast.Load())
        for other in (ast.Constant("text"), pair, ast.Dict([ast.Constant("x")], [value])):
            yield from _with(node, "value", other)


def has_another_size(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        for other in (node.value + 7, -3):
            yield from _with(node, "value", other)


def has_another_type(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for other in ("text", None, [1]):
            yield from _with(node, "value", other)


def loses_a_method(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.ClassDef):
        yield from _without_each(node.body)


def loses_a_line(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.FunctionDef) and len(node.body) > 1:
        yield from _without_each(node.body)


def has_another_rank(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Return) and node.value is not None:
        for text in ("tf.expand_dims(__x, -1)", "tf.reduce_mean(__x)", "tf.transpose(__x)[:1]"):
            yield from _with(node, "value", _around(text, node.value))


def uses_a_foreign_variable(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Return) and node.value is not None:
        for text in (
            "__x * tf.Variable(1.0)",
            "__x + tf.random.normal([])",
            "__x * keras.Variable(1.0).assign_add(1.0)",
        ):
            yield from _with(node, "value", _around(text, node.value))


def uses_python(node: ast.AST) -> Iterator[None]:
    if isinstance(node, ast.Return) and node.value is not None:
        for text in ("__x.numpy()", "float(__x)", "__x if __x > 0 else -__x"):
            yield from _with(node, "value", _around(text, node.value))


MUTATIONS: tuple[Mutation, ...] = (
    drops_a_parameter, drops_an_argument, adds_an_argument, misspells_a_name, misspells_a_method,
    misspells_a_text, returns_nothing, returns_another_type, has_another_size, has_another_type,
    loses_a_method, loses_a_line, has_another_rank, uses_a_foreign_variable, uses_python,
)  # fmt: skip


def mutants(file: pathlib.Path, mutation: Mutation) -> Iterator[Mutant]:
    """Yield the file with the mistake at every place where it can be made."""
    text = file.read_text()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for way, _ in enumerate(mutation(node)):
            made = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
            if made != ast.unparse(ast.parse(text)):
                line = getattr(node, "lineno", 0)
                yield Mutant(mutation.__name__, f"{file.stem}:{line}.{way}", made)


def chosen(count: int) -> list[Mutant]:
    """Return so many mutants, spread evenly over the files, the kinds, and their places."""
    kinds = [list(mutants(file, mutation)) for mutation in MUTATIONS for file in FILES]
    kinds = [kind for kind in kinds if kind]
    shares = [count // len(kinds) + (i < count % len(kinds)) for i in range(len(kinds))]
    return [
        kind[place * len(kind) // share]
        for kind, share in zip(kinds, shares, strict=True)
        for place in range(min(share, len(kind)))
    ]


def _with(node: ast.AST, field: str, value: object) -> Iterator[None]:
    before = getattr(node, field)
    is_ast = value is None or isinstance(value, ast.AST | str) or not isinstance(value, list)
    setattr(node, field, value if is_ast else list(value))
    yield
    setattr(node, field, before)


def _without_each(nodes: list[ast.AST], *beside: list[ast.AST | None]) -> Iterator[None]:
    for index in range(len(nodes)):
        taken = [(each, each.pop(index)) for each in (nodes, *beside)]
        if nodes or not isinstance(taken[0][1], ast.stmt):
            yield
        for each, node in taken:
            each.insert(index, node)


def _around(text: str, value: ast.expr) -> ast.expr:
    """Return the expression `text` with `value` in the place of __x."""

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return value if node.id == "__x" else node

    return Put().visit(ast.parse(text, mode="eval").body)
