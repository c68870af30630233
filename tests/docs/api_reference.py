"""Writes `docs/api.md` from the docstrings: python -m tests.docs.api_reference > docs/api.md.

What a docstring gets wrong is an error: a public name without one, an argument that it does not
name, or one that it names and that is not there.
"""

import ast
import inspect
import pathlib
import re
from collections.abc import Iterator

from tests.processes import ROOT

HEAD = """\
# API reference

Generated from the docstrings. To write it again, run
`python -m tests.docs.api_reference > docs/api.md`.
A config names a part by its registered name, or as `"module:object"`.
"""
PAGES = {
    "From Python": ["trainer/api.py", "trainer/run/opened.py", "common/exit_codes.py:RunError"],
    "Config": ["trainer/config/fields.py"],
    "Custom tasks": ["trainer/task.py", "trainer/run/hook.py:EvaluationReport"],
    "Tasks": ["trainer/tasks"],
    "Models": ["trainer/models"],
    "Losses": ["trainer/losses"],
    "Optimizers and schedules": ["trainer/optimizers"],
    "Regularizers": ["trainer/regularizers"],
    "Metrics": ["trainer/metrics"],
    "Augmentations": ["trainer/data/augment"],
    "Random numbers": ["trainer/data/augment/hashing.py"],
}
NO_PARTS = ("hashing.py", "preprocess.py")
"""Files in a folder of parts that hold none."""
Definition = ast.FunctionDef | ast.ClassDef


class DocstringError(Exception):
    """A docstring that does not say what is there."""


def page() -> str:
    """Return the page.

    Raises:
        DocstringError: with every fault of every docstring.
    """
    faults: list[str] = []
    parts = [HEAD]
    for title, places in PAGES.items():
        parts.append(f"\n## {title}\n")
        parts += [entry(d, module, faults) for p in places for d, module in definitions(p)]
    if faults:
        raise DocstringError("\n".join(faults))
    return "".join(parts)


def definitions(place: str) -> Iterator[tuple[Definition, str]]:
    """Give the public classes and functions of a file, a folder, or `file:name`."""
    path, _, wanted = place.partition(":")
    whole = ROOT / path
    parts = (file for file in sorted(whole.glob("*.py")) if file.name not in NO_PARTS)
    for file in parts if whole.is_dir() else [whole]:
        for node in ast.parse(file.read_text()).body:
            is_ours = isinstance(node, Definition) and not node.name.startswith("_")
            if is_ours and node.name == (wanted or node.name):
                yield node, public_module(file, node.name)


def public_module(file: pathlib.Path, name: str) -> str:
    """Return the module that a user imports: the highest package that exports the name."""
    packages = [folder for folder in reversed(file.parents) if (folder / "__init__.py").is_file()]
    exported = rf'^    "{name}",$'
    for package in packages:
        if re.search(exported, (package / "__init__.py").read_text(), flags=re.MULTILINE):
            return ".".join(package.relative_to(ROOT).parts)
    return ".".join(file.with_suffix("").relative_to(ROOT).parts)


def entry(node: Definition, module: str, faults: list[str]) -> str:
    """Return the section of a class or function, with its public methods."""
    where = f"{module}.{node.name}"
    text = docstring(node, where, faults)
    if isinstance(node, ast.FunctionDef):
        check_arguments(node, text, where, faults)
        return f"\n### `{where}`\n\n{code(signature(node))}\n{markdown(text)}\n"
    init = next((m for m in methods(node) if m.name == "__init__"), None)
    if init:
        check_arguments(init, text, where, faults)
    head = signature(init, node.name) if init else node.name
    body = f"\n### `{where}`\n\n{code(head)}\n{markdown(text)}\n{fields(node, text)}"
    body += "\n"
    for method in methods(node):
        if not method.name.startswith("_"):
            said = docstring(method, f"{where}.{method.name}", faults)
            body += f"- `{signature(method)}`: {said.splitlines()[0] if said else ''}\n"
    return body.rstrip() + "\n"


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [m for m in node.body if isinstance(m, ast.FunctionDef)]


def docstring(node: Definition, where: str, faults: list[str]) -> str:
    text = ast.get_docstring(node) or ""
    if not text:
        faults.append(f"{where}: no docstring")
    return text


def signature(node: ast.FunctionDef, name: str = "") -> str:
    arguments = re.sub(r"^self(, )?|^cls(, )?", "", ast.unparse(node.args))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not name else ""
    return f"{name or node.name}({arguments}){returns}"


def check_arguments(node: ast.FunctionDef, text: str, where: str, faults: list[str]) -> None:
    """Where a docstring lists arguments it must list all of them and no others."""
    if "\nArgs:\n" not in text:
        return
    a = node.args
    names = {x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)} - {"self", "cls"}
    listed = set(re.findall(r"^    (\w+): ", section(text, "Args"), flags=re.MULTILINE))
    faults += [f"{where}: argument {n!r} is not described" for n in sorted(names - listed)]
    faults += [f"{where}: there is no argument {n!r}" for n in sorted(listed - names)]


def section(text: str, title: str) -> str:
    found = re.search(rf"^{title}:\n((?:    .*\n?|\n)+)", text, flags=re.MULTILINE)
    return found[1] if found else ""


def fields(node: ast.ClassDef, text: str) -> str:
    """Return the table of a dataclass's fields; each says what it is under its name."""
    rows = []
    body = [] if "Attributes:" in text else node.body
    for item, after in zip(body, [*body[1:], None], strict=False):
        if not isinstance(item, ast.AnnAssign):
            continue
        says = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            says = " ".join(inspect.cleandoc(str(after.value.value)).split())
        default = f"`{ast.unparse(item.value)}`" if item.value else ""
        kind = ast.unparse(item.annotation).replace("|", "\\|")
        rows.append(f"| `{ast.unparse(item.target)}` | `{kind}` | {default} | {says} |\n")
    head = "\n| field | type | default | what it is |\n|---|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def markdown(text: str) -> str:
    """Return a docstring in Google's form as Markdown: its lists become lists."""
    lines = []
    for line in text.splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            lines += [f"**{line[:-1]}**", ""]
        elif item := re.match(r"    (\w+): (.*)", line):
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            is_item = line.startswith("        ")
            lines.append(f"  {line.strip()}" if is_item else line.strip())
    return "\n".join(line.rstrip() for line in lines)


def code(text: str) -> str:
    return f"```python\n{text}\n```\n"


if __name__ == "__main__":
    print(page(), end="")
