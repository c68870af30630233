"""Finds in the source which private names of other libraries it uses."""

import ast
from collections.abc import Iterator

from tests.processes import ROOT

# Whatever is reached through these is private; elsewhere, names that begin with "_".
_PRIVATE = (
    "keras.src.",
    "tensorflow.compiler.",
    "tensorflow.core.",
    "tensorflow.python.",
    "tensorflow_datasets.core.",
)
# Documented by Python; and the one name of an object of ours that another object reads.
_NO_HOOKS = {"_asdict", "_exit", "_getframe", "_handle", "_replace", "_value_"}


def private_names() -> set[str]:
    """Return the names: the whole path where it is written, else the last part of it."""
    files = [f for room in ("trainer", "launch", "common") for f in (ROOT / room).rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files]
    ours = {name for tree in trees for name in _defined(tree)}
    found = {name for tree in trees for name in _used(tree, ours)} - _NO_HOOKS
    return {name for name in found if not any(x.startswith(f"{name}.") for x in found)}


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                yield name


def _used(tree: ast.AST, ours: set[str]) -> Iterator[str]:
    known: dict[str, str] = {}  # what the file calls a path -> the path
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if _is_private(module):
                known |= {each.asname or each.name: f"{module}.{each.name}" for each in names}
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute() as value):
                if _is_private(path := _path(value, known)):
                    known[name] = path
    yield from known.values()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute() if _is_private(path := _path(node, known)):
                yield path
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if name in ours:
                pass
            case ast.Attribute(attr=name):
                yield from _if_private(name)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]):
                yield from _if_private(name)
            case ast.Tuple(elts=parts):  # names of hooks that are replaced one after another
                for part in parts:
                    yield from _if_private(getattr(part, "value", None))


def _path(node: ast.expr, known: dict[str, str]) -> str:
    """Return the dotted path of an expression; "" where it is none."""
    match node:
        case ast.Name(id=name):
            return known.get(name, name)
        case ast.Attribute(value=value, attr=name):
            path = _path(value, known)
            return f"{path}.{name}" if path else ""
        case _:
            return ""


def _is_private(path: str) -> bool:
    return f"{path}.".startswith(_PRIVATE)


def _if_private(name: object) -> Iterator[str]:
    if isinstance(name, str) and name.startswith("_") and not name.startswith("__"):
        yield name
