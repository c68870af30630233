"""A checkout that is installed works in any folder."""

import os
import pathlib
import shutil
import subprocess
import sysconfig
import tomllib
import venv

import pytest

from tests.processes import ROOT

PACKAGES = ("trainer", "launch", "common")
TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_file_of_the_packages_is_installed() -> None:
    """What is no module of a package is data, which is installed only where a pattern names it."""
    assert TOOL["packages"]["find"]["include"] == [f"{name}*" for name in PACKAGES]
    for package in PACKAGES:
        named = {p for glob in TOOL["package-data"].get(package, ()) for p in _files(package, glob)}
        for path in _files(package, "**/*"):
            is_module = path.suffix == ".py" and (path.parent / "__init__.py").is_file()
            assert is_module or path in named, path


def _files(package: str, glob: str) -> list[pathlib.Path]:
    found = (ROOT / package).glob(glob)
    return [path for path in found if path.is_file() and path.parent.name != "__pycache__"]


def run(python: pathlib.Path, folder: pathlib.Path, *args: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, *args], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_installed_checkout_trains_and_launches_in_another_folder(tmp_path) -> None:
    checkout, environment = tmp_path / "checkout", tmp_path / "venv"
    checkout.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    venv.create(environment, symlinks=True)
    python = environment / "bin/python"
    (packages,) = environment.glob("lib/python*/site-packages")
    # What it depends on is installed beside, and nothing is downloaded.
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib"))
    install = ("-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index")
    run(python, tmp_path, *install, str(checkout))
    shutil.rmtree(checkout)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = run(python, elsewhere, "-c", "import trainer; print(trainer.__file__)")
    assert where.startswith(str(environment))
    length = "--config.train_steps=2"
    done = run(python, elsewhere, "-m", "trainer", "--config=digits", "--workdir=run", length)
    assert "done: 2 steps" in done
    assert "lockstep" in run(python, elsewhere, "-m", "trainer", "--version")
    args = ("--image=x:1", "--workers=1", "--", "--config=digits", "--workdir=gs://x/y")
    assert "kind: Job" in run(python, elsewhere, "-m", "launch", "render", *args)
