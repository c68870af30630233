"""The examples keep the promise of a run, and say how they are run and what they reach."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from benchmarks import gallery
from benchmarks.gallery import Example
from tests.processes import ROOT, Ended
from trainer import failpoints

FEW = ("--config.train_steps=4", "--config.epochs=0", "--config.eval_every_steps=2")
QUICK = ("offline_q", "gan_spectral")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where the commands of an example are run."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def run(folder: pathlib.Path, command: str, *flags: str, failpoint: str = "") -> Ended:
    """Run a command of an example, with other flags behind its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment |= {failpoints.VARIABLE: failpoint} if failpoint else {}
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:], *flags],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def prepare(folder: pathlib.Path, example: Example) -> str:
    """Write the data of an example and train its parent; return the command that trains it."""
    *before, command = example.commands
    if example.name == "fine_tuning":
        before += [f"{c} {' '.join(FEW)}" for c in Example.read("fine_tuning_base").commands]
    for other in before:
        ended = run(folder, other)
        assert ended.code == 0, ended.stderr
    return command


def test_every_example_is_in_the_gallery() -> None:
    assert sorted(gallery.ORDER) == sorted(p.stem for p in gallery.EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", gallery.ORDER)
def test_an_example_is_short_and_names_its_commands(name: str) -> None:
    assert len((gallery.EXAMPLES / f"{name}.py").read_text().splitlines()) < 120
    example = Example.read(name)
    assert f"--config=examples/{name}.py" in example.commands[-1]
    assert example.text


def test_the_page_is_that_of_the_results() -> None:
    results = json.loads(gallery.RESULTS.read_text())
    assert gallery.PAGE.read_text() == gallery.page(results)
    for name, found in results.items():
        example = Example.read(name)
        assert example.is_reached(found["value"]), name
        assert example.reached == gallery.reached(found), name


@pytest.mark.parametrize("name", QUICK)
def test_two_steps_are_the_same_on_other_replicas_and_after_a_restore(name: str, folder) -> None:
    """`--fast_dev_run` makes the second step again from the first, on another number of them."""
    ended = run(folder, prepare(folder, Example.read(name)), "--fast_dev_run")
    assert ended.code == 0, ended.stderr
    assert "restored step_000000001" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", gallery.ORDER)
def test_one_digest_on_two_replicas_and_after_a_kill(name: str, folder) -> None:
    command = prepare(folder, Example.read(name))
    flags = (*FEW, "--config.checkpoint_every_steps=2")
    whole = run(folder, command, *flags, "--workdir=whole")
    assert whole.code == 0, whole.stderr
    resumed = (*flags, "--workdir=killed", "--cpu_replicas=2")
    killed = run(folder, command, *resumed, failpoint="checkpoint.before_commit:kill@2")
    assert killed.code == -9, killed.stderr
    again = run(folder, command, *resumed)
    assert again.code == 0, again.stderr
    assert "restored step_000000002" in again.stderr
    one, two = (json.loads((folder / d / "summary.json").read_text()) for d in ("whole", "killed"))
    assert two["replicas"] == 2
    assert one["state_digest"] == two["state_digest"]
    assert one["eval"] == two["eval"]
