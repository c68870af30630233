"""What a command line user expects of any tool: help, version, completion, colours."""

import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

from tests.processes import ROOT, trainer
from trainer import version
from trainer.commands import COMMANDS, completion
from trainer.config import flags


def test_help_fits_a_screen_and_names_every_flag_and_command() -> None:
    shown = trainer("--help")
    assert shown.code == 0
    lines = shown.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    for name in flags.FLAGS.flags_by_module_dict()["trainer.config.flags"]:
        assert sum(line.startswith(f"  --{name.name} ") for line in lines) == 1, name.name
    for name in COMMANDS:
        assert any(line.startswith(f"  {name} ") for line in lines), name


def test_version_names_what_a_report_of_a_mistake_needs() -> None:
    code = (
        "import sys; from trainer.__main__ import main; main(['trainer', '--version']);"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert rows["keras"] == metadata.version("keras")
    assert rows["python"] == sys.version.split()[0]
    assert rows["machine"].startswith("Linux") or sys.platform != "linux"
    assert re.fullmatch(r"\d+ of \S.*", rows["processors"])
    if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text():
        assert "avx512" in rows["processors"]  # decides the last bits
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert rows["lockstep"] == version.VERSION == project["version"]
    assert f"tensorflow=={rows['tensorflow']}" in project["dependencies"]


@pytest.mark.parametrize("installed", ["tensorflow-cpu", "tensorflow-tpu", "tf-nightly"])
def test_version_finds_the_tensorflow_of_an_image(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_an_image(name: str) -> str:
        if name.startswith(("tensorflow", "tf")) and name != installed:
            raise metadata.PackageNotFoundError(name)
        return "2.19.1"

    monkeypatch.setattr(metadata, "version", of_an_image)
    assert "tensorflow  2.19.1\n" in version.version_text()


def complete(shell: str, line: str) -> list[str]:
    """Return what pressing the tab key after `line` offers."""
    program = (
        f"{completion.script(shell)}\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n"
        '_lockstep; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = {"bash": ["bash", "--norc"], "zsh": ["zsh", "-f"]}[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"NOT SHOWN in {shell}: it is not installed here")
    done = subprocess.run(
        [*command, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert not done.stderr, done.stderr
    return [word.strip() for word in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("python -m trainer ex", "export"),
        ("python -m trainer --fast", "--fast_dev_run"),
        ("python -m trainer --config=digits_g", "--config=digits_gan"),
        ("python -m trainer --workdir=x --config.optimizer.l", "--config.optimizer.learning_rate="),
        ("python -m trainer --strategy=mu", "--strategy=multi_worker"),
        ("python -m pytest ex", ""),
        ("python -m trainer export ex", ""),
    ],
)
def test_completion(shell: str, line: str, offered: str) -> None:
    wanted = offered if shell == "zsh" or offered.endswith("=") else offered.partition("=")[2]
    assert complete(shell, line) == [wanted or offered]


COLOURED = """
from trainer.monitoring.console import make_console
bar = make_console(10)
bar.progress(5, 0.5, 10.0)
bar.write(5, {"train/loss": 0.5})
bar.close()
"""


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_only_on_a_terminal_that_wants_them(no_color: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": no_color} if no_color else {})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", COLOURED]
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=theirs)
    started.wait(timeout=60)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "step 5/10  train/loss 0.5" in shown
    coloured = re.search(r"\x1b\[(3[0-7]|38|9[0-7])[;m]", shown)
    assert bool(coloured) is not bool(no_color)
    piped = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "train/loss 0.5" in piped.stderr
    assert "\x1b" not in piped.stderr
