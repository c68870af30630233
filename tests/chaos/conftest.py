import json
from pathlib import Path

import pytest

from tests.chaos.harness import LONG, finish


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(workdir, f"--log_examples={workdir.parent / 'examples'}")
    return workdir


@pytest.fixture(scope="session")
def digest(undisturbed: Path) -> str:
    """Its digest."""
    return json.loads((undisturbed / "summary.json").read_text())["state_digest"]


@pytest.fixture(scope="session")
def long_undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a long run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("long_undisturbed") / "run"
    finish(workdir, *LONG, f"--log_examples={workdir.parent / 'examples'}")
    return workdir


@pytest.fixture(scope="session")
def long_digest(long_undisturbed: Path) -> str:
    """Its digest."""
    return json.loads((long_undisturbed / "summary.json").read_text())["state_digest"]
