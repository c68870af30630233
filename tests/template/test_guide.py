"""The guide says what is so: its commands are accepted, its code is that of the sources."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from PIL import Image

from tests.processes import ROOT
from trainer import __main__ as entry
from trainer import commands

PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))
WRITTEN_BY_NEW = "mine/experiment.py"


def blocks(page, kind):
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_is_accepted(page) -> None:
    template = str(ROOT / "trainer" / "template" / "experiment.py")
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line.replace(WRITTEN_BY_NEW, template))
        assert words[:3] == ["python", "-m", "trainer"], line
        if commands.find(words[2:]) is None:
            with flagsaver.flagsaver():
                entry.prepare(words[2:], {})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_runs_with_few_steps(page, tmp_path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "pictures" / "black.png")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line in "".join(blocks(page, "sh")).splitlines():
        words = [sys.executable, *shlex.split(line)[1:]]
        if any(word.startswith("--workdir=") for word in words):
            words += ["--config.train_steps=3"]
        if "compare" in words:
            shutil.copytree(tmp_path / "runs" / "mine", tmp_path / "runs" / "other")
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_link_leads_somewhere(page) -> None:
    for target in re.findall(r"\]\(([\w./]+)\)", page.read_text()):
        assert (page.parent / target).is_file(), target


def test_every_line_of_a_step_is_in_the_sources() -> None:
    folders = ("tasks", "losses")
    sources = "".join(p.read_text() for f in folders for p in (ROOT / "trainer" / f).glob("*.py"))
    shown = [b for page in PAGES if page.stem != "first_minutes" for b in blocks(page, "python")]
    assert len(shown) >= 6
    for block in shown:
        assert block in sources, block


def test_states_in_the_guide_are_those_of_the_configs() -> None:
    for page in PAGES:
        (config,) = re.findall(r"--config=(\w+) --workdir", page.read_text()) or [None]
        if config:
            state = re.search(r"state\s+([0-9a-f]{16})", configs_text(config))
            assert state, config
            assert state[1] in page.read_text()


def configs_text(name: str) -> str:
    return (ROOT / "trainer" / "configs" / f"{name}.py").read_text()
