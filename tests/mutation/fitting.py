"""Which tests are likely to notice a change of a file: an order to run them in, not a proof."""

import pathlib
import re

_STARTS_PROCESSES = re.compile(r"^(import subprocess|from tests\.(processes|chaos\.harness))", re.M)
FOLDERS = {
    "common": "common entry launch cluster supply_chain",
    "trainer": "entry behaviour run parts template conformance",
    "trainer/checkpoint": "checkpoint storage run template",
    "trainer/cluster": "cluster entry data chaos",
    "trainer/commands": "commands template entry data docs",
    "trainer/config": "entry parts golden",
    "trainer/configs": "entry golden",
    "trainer/data": "data entry template run",
    "trainer/engine": "engine parts run golden checkpoint",
    "trainer/losses": "parts conformance",
    "trainer/metrics": "parts run conformance",
    "trainer/models": "parts engine conformance",
    "trainer/monitoring": "monitoring run entry template",
    "trainer/optimizers": "parts engine template conformance",
    "trainer/regularizers": "parts engine conformance",
    "trainer/report": "report",
    "trainer/run": "run checkpoint behaviour engine entry template",
    "trainer/runtime": "entry",
    "trainer/storage": "storage checkpoint data",
    "trainer/task": "engine parts template conformance",
    "trainer/tasks": "engine template parts conformance",
    "trainer/template": "template",
    "trainer/tune": "tune",
    "launch": "launch",
    "tests": "mutation",
}
"""Folders of `tests` by the start of a path, the likeliest first; the longest start counts."""


def likely(changed: list[str], root: pathlib.Path) -> list[str]:
    """Return test files for a change of the files `changed`, the likeliest first.

    First those that import a changed module by name, then the folders of the table; files whose
    tests start processes, which takes seconds each, come after all others.
    """
    folders = dict.fromkeys(f for path in changed for f in _folders(path))
    files = dict.fromkeys(str(path.relative_to(root)) for path in _importers(changed, root))
    for folder in folders:
        files |= dict.fromkeys(_in_folder(root, folder))
    return sorted(files, key=lambda file: bool(_STARTS_PROCESSES.search((root / file).read_text())))


def others(likely_ones: list[str], root: pathlib.Path) -> list[str]:
    """Return all test files that are not among them."""
    every = [f for folder in sorted((root / "tests").iterdir()) for f in _in_folder(root, folder)]
    return [file for file in every if file not in likely_ones]


def _folders(path: str) -> list[str]:
    starts = [start for start in FOLDERS if re.match(rf"{start}\b", path)]
    return FOLDERS[max(starts, key=len)].split() if starts else []


def _in_folder(root: pathlib.Path, folder: str | pathlib.Path) -> list[str]:
    found = sorted((root / "tests" / folder).glob("test_*.py"))
    return [str(path.relative_to(root)) for path in found]


def _importers(changed: list[str], root: pathlib.Path) -> list[pathlib.Path]:
    """Test files with `import a.b.c`, `from a.b.c import` or `from a.b import c`."""
    patterns = []
    for path in changed:
        package, _, stem = path.removesuffix(".py").replace("/", ".").rpartition(".")
        whole = rf"\b{re.escape(package)}\.{stem}\b"
        patterns.append(rf"{whole}|from {re.escape(package)} import [^#]*?\b{stem}\b")
    imports = re.compile("|".join(patterns or ["(?!)"]))
    return [path for path in sorted(root.glob("tests/*/test_*.py")) if imports.search(_head(path))]


def _head(path: pathlib.Path) -> str:
    """The import lines of a file, those within functions too."""
    text = re.sub(r"\(\n(.*?)\)", lambda m: m[1].replace("\n", " "), path.read_text(), flags=re.S)
    return "\n".join(line for line in text.splitlines() if re.match(r"\s*(from|import) ", line))
