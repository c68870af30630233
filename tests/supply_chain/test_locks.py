"""Every dependency is one version with hashes, and the images differ in TensorFlow alone."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.supply_chain.lock import read, unpinned

ROOT = Path(__file__).parents[2]
_LOCKS = sorted(ROOT.glob("requirements*.lock"))


def _wanted(path: Path) -> set[str]:
    """The requirements that an .in file names itself."""
    lines = path.read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-"))}


def _without_tensorflow(names: set[str]) -> set[str]:
    return {name for name in names if not re.match(r"tensorflow(-cpu|-tpu|\[and-cuda\])?==", name)}


def test_all_six_locks_are_there() -> None:
    suffixes = {path.stem.removeprefix("requirements") for path in _LOCKS}
    assert suffixes == {"", "-dev", "-cpu", "-gpu", "-tpu", "-test"}


@pytest.mark.parametrize("path", _LOCKS, ids=lambda path: path.stem)
def test_everything_is_one_version_with_hashes(path: Path) -> None:
    assert unpinned(path.read_text()) == []
    assert len(read(path.read_text())) > 90


@pytest.mark.parametrize(
    "line",
    [
        "numpy>=2 \\\n    --hash=sha256:" + "0" * 64,
        "numpy==2.4.6",
        "numpy==2.4.6 \\\n    --hash=md5:00",
        "--index-url https://example.com/simple",
        "--extra-index-url https://example.com/simple",
        "numpy @ https://example.com/numpy.whl",
        "-e ./numpy",
    ],
)
def test_a_loose_line_is_found(line: str) -> None:
    good = "absl-py==2.5.1 \\\n    --hash=sha256:" + "a" * 64 + "\n"
    assert unpinned(good) == []
    assert unpinned(good + line + "\n")


@pytest.mark.parametrize("flavour", ["cpu", "gpu", "tpu"])
def test_an_image_wants_what_the_project_wants(flavour: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = _wanted(ROOT / f"requirements-{flavour}.in")
    assert _without_tensorflow(wanted) == _without_tensorflow(set(project["dependencies"]))
    assert len(wanted) == len(project["dependencies"])


@pytest.mark.parametrize("flavour", ["cpu", "gpu", "test"])
def test_an_image_has_the_versions_that_were_tested_outside(flavour: str) -> None:
    outside = read((ROOT / "requirements-dev.lock").read_text())
    inside = read((ROOT / f"requirements-{flavour}.lock").read_text())
    different = {
        name: (versions, outside[name])
        for name, versions in inside.items()
        if name in outside and not versions <= outside[name]
    }
    assert different == {}


def test_installing_always_asks_for_the_hashes() -> None:
    script = (ROOT / "tests/container/install.sh").read_text()
    installs = [line for line in script.splitlines() if "pip install" in line]
    makefile = (ROOT / "Makefile").read_text()
    # What `make test-next` looks at is the newest that there is, whatever it is.
    makefile = re.sub(r"^\.venv/next:.*?\n\n", "", makefile, flags=re.MULTILINE | re.DOTALL)
    installs += [line for line in makefile.splitlines() if "pip install" in line]
    assert len(installs) >= 3
    assert [line for line in installs if "--require-hashes" not in line] == []
