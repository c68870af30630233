"""Every command of the README runs as it stands there."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.golden import record
from tests.processes import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
LINES = [line.partition("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line]
TRAINER = [c for c in COMMANDS if c.startswith("python -m trainer")]
MAKES = [c for c in COMMANDS if c.startswith("make ")]
LAUNCHES = [c for c in COMMANDS if c.startswith("python -m launch")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An empty folder from which the repository's packages are imported."""
    return tmp_path_factory.mktemp("readme")


def run(command: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    return subprocess.run(
        command.split(), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", TRAINER)
def test_command_runs(command, folder):
    done = run(command, folder)
    assert done.returncode == 0, done.stderr


def test_the_two_runs_of_the_idea_end_alike_and_as_it_says(folder):
    # The commands above made them, in the order of the page.
    one, two = (
        json.loads((folder / "runs" / name / "summary.json").read_text())["state_digest"]
        for name in ("one", "two")
    )
    assert one == two
    if record.kind_of_cpu() == json.loads(record.CURVE.read_text())["cpu"]:
        assert README.count(f"| `{one[:16]}` |") == 4


def test_every_command_is_of_a_kind_that_is_run_here():
    assert set(COMMANDS) == {*TRAINER, *MAKES, *LAUNCHES}


@pytest.mark.skipif(shutil.which("make") is None, reason="images hold no make")
@pytest.mark.parametrize("command", MAKES)
def test_the_target_exists(command):
    dry = ["make", "--dry-run", *command.split()[1:]]
    assert subprocess.run(dry, cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("command", LAUNCHES)
def test_the_launch_command_runs(command, folder):
    done = run(command, folder)
    assert done.returncode == 0, done.stderr


def test_links_lead_somewhere():
    for target in re.findall(r"(?:\]\(|src=\")((?!http)[^)\"#]+)", README):
        assert (ROOT / target).exists(), target
