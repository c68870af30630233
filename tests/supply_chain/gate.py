"""Finds code that could run what it reads, in the syntax tree: text and comments do not count."""

import ast

_MODULES = {"cloudpickle", "cPickle", "dill", "joblib", "marshal", "pickle", "shelve"}
_BUILTINS = {"__import__", "compile", "eval", "exec"}
# Names of a module, as `module.name` or `from module import name`. SafeLoader is the only way
# through yaml; subclasses of SafeDumper write and do not load.
_MEMBERS = {
    "builtins": _BUILTINS,
    "asyncio": {"create_subprocess_shell"},
    "os": {"popen", "system"},
    "shutil": {"unpack_archive"},
    "subprocess": {"getoutput", "getstatusoutput"},
    "yaml": {
        "CLoader",
        "FullLoader",
        "Loader",
        "UnsafeLoader",
        "full_load",
        "full_load_all",
        "load",
        "load_all",
        "unsafe_load",
        "unsafe_load_all",
    },
}
# Names that mean one thing wherever they are found.
_ANYWHERE = {"enable_unsafe_deserialization", "load_model"}


def findings(source: str, name: str = "source") -> list[str]:
    """What a Python file does that it must not, as `name:line: what`."""
    tree = ast.parse(source, name)
    # In its safe mode Keras refuses files with code; `test_hostile_files` holds it to that.
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    safe = {id(call.func) for call in calls if _is_safe_load(call)}
    imported = _short_names(tree)
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if id(node) not in safe:
            found += [(getattr(node, "lineno", 0), what) for what in _in_node(node, imported)]
    return [f"{name}:{line}: {what}" for line, what in sorted(found)]


def _short_names(tree: ast.Module) -> dict[str, str]:
    """What the file calls modules -> what they are: `import numpy as np` and `from a import b`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname: each.name for each in node.names if each.asname}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {e.asname or e.name: f"{node.module}.{e.name}" for e in node.names}
    return names


def _in_node(node: ast.AST, imported: dict[str, str]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [f"import {each.name}" for each in names if _top(each.name) in _MODULES]
        case ast.ImportFrom(module=str(module), names=names):
            return _from(module, [each.name for each in names])
        case ast.Name(id=name) if name in _BUILTINS | _ANYWHERE:
            return [name]
        case ast.Attribute(value=owner, attr=name):
            return _attribute(_whole(owner, imported), name)
        case ast.Call():
            return _call(node, _whole(node.func, imported))
    return []


def _whole(node: ast.expr, imported: dict[str, str]) -> str:
    """The text of an expression, beginning with the module that its first name stands for."""
    first, dot, rest = ast.unparse(node).partition(".")
    return f"{imported.get(first, first)}{dot}{rest}"


def _from(module: str, names: list[str]) -> list[str]:
    if _top(module) in _MODULES:
        return [f"from {module} import"]
    unsafe = _MEMBERS.get(module, set()) | _ANYWHERE
    return [f"from {module} import {name}" for name in names if name in unsafe]


def _attribute(owner: str, name: str) -> list[str]:
    # A module may be reached through another: `tf.saved_model`.
    last = owner.rpartition(".")[2]
    unsafe = name in _MEMBERS.get(owner, set()) or name in _ANYWHERE
    return [f"{owner}.{name}"] if unsafe or (last, name) == ("saved_model", "load") else []


def _call(node: ast.Call, called: str) -> list[str]:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    found = [
        f"{called}({name}=...)"
        for name in ("shell", "allow_pickle")
        # `format` fills a text in, whatever its fields are called.
        if name in keywords and not _is(keywords[name], False) and not called.endswith(".format")
    ]
    if called.endswith(".extractall") and not _is(keywords.get("filter"), "data"):
        found.append(f"{called} without filter='data'")
    if called == "numpy.load" and len(node.args) > 2:
        found.append(f"{called} with allow_pickle by position")
    return found


def _is_safe_load(call: ast.Call) -> bool:
    is_load = isinstance(call.func, ast.Attribute) and call.func.attr == "load_model"
    return is_load and any(k.arg == "safe_mode" and _is(k.value, True) for k in call.keywords)


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _top(module: str) -> str:
    return module.partition(".")[0]
