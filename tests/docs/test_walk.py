"""The walk of a batch in `docs/architecture.md` is the way that a batch goes."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence

import pytest

from tests.processes import ROOT

MOST_FILES = 22
PARTS = ("trainer/models/", "trainer/losses/", "trainer/optimizers/", "trainer/metrics/")
"""One a file, opened where a config names them: the walk shows a task only."""
ONLOOKERS = (
    "trainer/ownership.py",
    *(f"trainer/engine/{name}.py" for name in ("audit", "graphs", "inlined", "custom_gradients")),
    "trainer/engine/rematerialization.py",
)
"""They see names, or what a step traces and has traced, and never a batch."""
PAGE = (ROOT / "docs" / "architecture.md").read_text()
SECTION = PAGE.partition("## The walk of a batch\n")[2].partition("\n## ")[0]
WALK = re.findall(r"^\d+\. `([\w/.]+)`: .", SECTION, flags=re.MULTILINE)


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def path_of(module: str) -> str | None:
    found = ROOT / module.replace(".", "/")
    file = found / "__init__.py" if found.is_dir() else found.with_suffix(".py")
    return str(file.relative_to(ROOT)) if file.is_file() else None


@functools.cache
def named_in(path: str) -> frozenset[str]:
    """Return the files that a file imports, also late; names of packages are followed."""
    return frozenset(_imports(path))


def _imports(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found = path_of(f"{node.module}.{alias.name}") or path_of(node.module)
                if found is None:
                    continue
                yield found
                if found.endswith("__init__.py") and found != path:
                    yield from _exported(found, alias.name)


def _exported(package: str, name: str) -> Iterator[str]:
    for node in ast.parse((ROOT / package).read_text()).body:
        names = [a.name for a in node.names] if isinstance(node, ast.ImportFrom) else []
        if name in names and (found := path_of(node.module)):
            yield found


def unnamed(walk: Sequence[str]) -> list[str]:
    """Return the files that no earlier one of the walk imports, and no table of parts names."""
    registry = (ROOT / "trainer" / "registry.py").read_text()
    known = set(walk[:1])
    found = []
    for path in walk[1:]:
        imported = any(path in named_in(earlier) for earlier in known)
        if not imported and f'"{module_of(path)}:' not in registry:
            found.append(path)
        known.add(path)
    return found


def layer(path: str) -> int:
    """Return how deep a file lies by the contract "imports point down"."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [c["layers"] for c in contracts["contracts"] if c["name"] == "imports point down"]
    module = module_of(path)
    for depth, names in enumerate(layers):
        if any(f"{module}.".startswith(f"{name.strip()}.") for name in re.split("[|:]", names)):
            return depth
    raise AssertionError(f"no layer holds {path}")


def turns_back(walk: Sequence[str]) -> list[str]:
    """Return the files at which the walk goes up in the layers."""
    depths = list(map(layer, walk))
    return [walk[i] for i in range(1, len(walk)) if depths[i] < depths[i - 1]]


def test_it_is_short_and_every_file_exists() -> None:
    assert WALK[0] == "trainer/__main__.py"
    assert 10 < len(WALK) == len(set(WALK)) <= MOST_FILES
    assert [path for path in WALK if not (ROOT / path).is_file()] == []


def test_a_reader_meets_the_name_of_every_file_before_it() -> None:
    assert unnamed(WALK) == []


def test_it_turns_back_once_where_the_page_says_so() -> None:
    (turn,) = turns_back(WALK)
    assert f"`{turn}`" in SECTION.partition("Turn back")[2].splitlines()[2]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the trainer's files that ran at all, and those that ran inside the first call."""
    workdir = tmp_path_factory.mktemp("walk") / "run"
    flags = ["--config=digits", f"--workdir={workdir}", "--config.model.name=mlp",
             "--config.model.args={}", "--config.epochs=0", "--config.train_steps=1"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.traced", *flags],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def strangers(walk: Sequence[str], inside: Sequence[str]) -> list[str]:
    """Return what handles a batch and is not on the walk."""
    exempt = (*PARTS, *ONLOOKERS)
    return [path for path in inside if path not in walk and not path.startswith(exempt)]


def test_whatever_handles_a_batch_is_on_the_way_and_nothing_else(ran: dict[str, list[str]]) -> None:
    assert strangers(WALK, ran["inside"]) == []
    assert [path for path in WALK if path not in ran["all"]] == []


def test_a_wrong_walk_is_noticed(ran: dict[str, list[str]]) -> None:
    reduction, steps = "trainer/engine/reduction.py", "trainer/run/steps.py"
    assert strangers([p for p in WALK if p != reduction], ran["inside"]) == [reduction]
    assert unnamed([p for p in WALK if p != "trainer/run/loop.py"]) != []
    assert unnamed(list(reversed(WALK))) != []
    moved = [p for p in WALK if p != steps]
    assert len(turns_back([*moved, steps])) > 1
