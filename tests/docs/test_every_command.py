"""Every command of every page is run here, or checked as far as this machine can.

What is fast is checked always: that the command is understood. What trains runs with few steps,
page by page, in `make test-slow`. A command that no rule covers fails a test, too.
"""

import importlib.util
import itertools
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from PIL import Image

from launch.cli.main import VERBS, Parser
from tests.data import written
from tests.docs import pages
from tests.docs.pages import Command
from tests.processes import ROOT
from trainer import __main__ as entry
from trainer import commands as trainer_commands

TEMPLATE = ROOT / "trainer" / "template" / "experiment.py"
ELSEWHERE = ("README.md", "command_line.md", "faq.md", "ten_minutes.md")
"""Pages whose commands run in tests of their own, or which show no more than --help."""
FEW = "--config.train_steps=3"


def trainer_takes_it(command: Command) -> None:
    words = real_words(command)
    if words[0].startswith("--"):  # the page shows flags alone
        words = ["python", "-m", "trainer", "--workdir=runs/x", *words]
    own = next((w for w in words if w.startswith("--config=") and w.endswith(".py")), "")
    words = [f"--config={TEMPLATE}" if word == own else word for word in words]
    is_run = words[3:] and not {"--help", "--version"} & set(words)
    if is_run and trainer_commands.find(words[2:]) is None:
        with flagsaver.flagsaver():
            entry.prepare(words[2:], {})


def launch_takes_it(command: Command) -> None:
    name, *rest = real_words(command)[3:] or ["VERB"]  # the program is named, no command of it
    own = rest[: rest.index("--")] if "--" in rest else rest
    for verb in VERBS if name == "VERB" else [name]:
        _, operands = Parser(verb).parse_known_args([word for word in own if word != "--help"])
        assert not [word for word in operands if word.startswith("-")]


def module_takes_it(command: Command) -> None:
    """The program starts; what it does takes long, or writes into the tree."""
    _, _, module, *_ = command.words
    assert importlib.util.find_spec(module)


def make_has_it(command: Command) -> None:
    if shutil.which("make") is None:
        pytest.skip("NOT SHOWN: no make is here")
    dry = ["make", "--dry-run", *command.words[1:]]
    assert subprocess.run(dry, cwd=ROOT, capture_output=True, check=False).returncode == 0


def kubectl_reads_it(command: Command) -> None:
    """The files of `apply` are there and whole; a cluster is asked in tests/control_plane."""
    if "-k" in command.words:
        folder = ROOT / command.words[command.words.index("-k") + 1]
        if shutil.which("kubectl") is None:
            pytest.skip("NOT SHOWN: no kubectl is here")
        built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, check=False)
        assert built.returncode == 0, built.stderr
    if "-f" in command.words:
        assert (ROOT / command.words[command.words.index("-f") + 1]).is_file()


def docker_knows_its_flags(command: Command) -> None:
    """The client's own help lists every flag; an engine runs the same ones in tests/container."""
    if shutil.which("docker") is None:
        pytest.skip("NOT SHOWN: no docker client is here")
    help_text = subprocess.run(
        ["docker", command.words[1], "--help"], capture_output=True, text=True, check=False
    ).stdout
    is_image = re.compile("lockstep:|IMAGE").match
    own = itertools.takewhile(lambda word: not is_image(word), command.words[2:])
    for flag in (word.partition("=")[0] for word in own if word.startswith("--")):
        assert f"{flag} " in help_text, flag


def is_installed(command: Command) -> None:
    program = pathlib.Path(command.words[0]).name
    if program == "pre-commit" and not (ROOT / ".git").exists():
        pytest.skip("NOT SHOWN: commits are made in a checkout, and an image is none")
    assert program == "source" or shutil.which(program, path=pathlib.Path(sys.executable).parent)


def needs_the_network(command: Command) -> None:
    pytest.skip(f"NOT SHOWN: {command.words[0]} asks a registry, and tests have no network")


RULES = {
    r"python -m trainer(?!\.)|--": trainer_takes_it,
    r"python -m launch": launch_takes_it,
    r"(\.venv/bin/)?python -m (\w+\.|pytest)": module_takes_it,
    r"make ": make_has_it,
    r"kubectl ": kubectl_reads_it,
    r"docker (run|stop)": docker_knows_its_flags,
    r"\.venv/bin/pre-commit |tensorboard --logdir |source <\(": is_installed,
    r"docker buildx imagetools|skopeo inspect|pip install|apt-get install": needs_the_network,
}
COMMANDS = [command for page in pages.PAGES for command in pages.commands(page)]


def rule(command: Command):
    return next((rule for start, rule in RULES.items() if re.match(start, command.text)), None)


def real_words(command: Command) -> list[str]:
    """Return the words with something real in the place of DIR, FILE and [what may be left out]."""
    text = re.sub(r"\[--[^]]*\]", "", command.text.replace("...", "runs/x"))
    return [
        re.sub(r"\b(DIR|FILE)\b", r"placed_\1", word) for word in shlex.split(text, comments=True)
    ]


def test_the_commands_are_found() -> None:
    found = {command.page.name: command.text for command in COMMANDS}
    assert len(COMMANDS) > 80
    assert {"README.md", "data.md", "images.md", "launching.md", "first_minutes.md"} <= set(found)


def test_every_command_has_a_rule() -> None:
    assert [str(command) for command in COMMANDS if rule(command) is None] == []


@pytest.fixture(scope="module")
def folder_of_sources(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The files that the page of sources reads."""
    folder = tmp_path_factory.mktemp("sources")
    written.for_the_guide(folder)
    return folder


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.page.name != "faq.md"], ids=str)
def test_the_command_is_understood(
    command: Command, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.page.stem == "sources":
        monkeypatch.chdir(request.getfixturevalue("folder_of_sources"))
    rule(command)(command)


def prepare_folder(page: pathlib.Path, folder: pathlib.Path) -> None:
    """Write what the page says is there: pictures, an experiment, the files that it shows."""
    if page.stem == "sources":
        written.for_the_guide(folder)
    else:
        (folder / "pictures").mkdir()
        Image.new("L", (8, 8)).save(folder / "pictures" / "black.png")
    for name in ("k8s", "examples"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "experiments").mkdir()
    shutil.copyfile(TEMPLATE, folder / "experiments" / "mine.py")
    for block in pages.blocks(page, "python")[:1]:
        (folder / "tutorial.py").write_text(block)
    for kind, name in (("yaml", "sweep.yaml"), ("toml", "launch.toml")):
        for block in pages.blocks(page, kind):
            told = re.match(r"# (\w+\.yaml)\n", block)
            (folder / (told[1] if told else name)).write_text(block)


def few_steps(words: list[str]) -> list[str]:
    """Return the command made short, and without a cluster or anything that is not there."""
    words = [word for word in words if not word.startswith("--config.epochs=")]
    if words[2] == "trainer" and any(word.startswith("--workdir=") for word in words):
        return [*words, FEW]
    if words[2:4] == ["trainer", "tune"]:
        return [*words, "--budget_secs=5"]
    if words[2] == "launch" and "--" in words:
        cut = words.index("--")
        long = {"--backend=kubernetes", "--profile=h100", "--sweep=search.yaml"} & set(words)
        dry = ["--dry_run=client"] if long and words[3] == "submit" else []
        if "--sweep=search.yaml" in words:  # which says how long its trials are
            return [*words[:cut], *dry, *words[cut:]]
        return [*words[:cut], *dry, *words[cut:], FEW]
    return words


TRAINS = re.compile(r"python -m (trainer|launch|examples)\b|tensorboard|source")
NOT_HERE = {
    "python -m trainer.data prepare": "downloads; tests/data/test_commands.py prepares a tiny one",
    "python -m launch doctor --backend": "asks a cluster; tests/launch/test_cluster_doctor.py",
    "python -m launch describe search": "its sweep is a dry run here; tests/launch/test_halving.py",
    "python -m launch tensorboard": "goes on until Ctrl-C; tests/launch/test_watch.py",
    "python -m launch attach": "asks a worker that runs; tests/launch/test_watch.py",
    "python -m launch VERB": "VERB stands for each; tests/launch/test_launch_cli.py",
    "python -m common.exit_codes_table": "its output is compared with docs/exit_codes.md",
}
RUN_HERE = sorted({c.page for c in COMMANDS if TRAINS.match(c.text)} - {ROOT / "README.md"})


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "page", [p for p in RUN_HERE if p.name not in ELSEWHERE], ids=lambda p: p.stem
)
def test_the_commands_of_a_page_run_in_their_order(page: pathlib.Path, tmp_path) -> None:
    prepare_folder(page, tmp_path)
    for command in pages.commands(page):
        if not TRAINS.match(command.text) or command.text.startswith(tuple(NOT_HERE)):
            continue
        if command.text == "python -m trainer":
            continue  # a sentence that names the program
        words = real_words(command)
        if words[0] == "source":
            words = ["bash", "-c", f"{command.text} && complete -p python"]
        elif words[0] == "tensorboard":
            words += ["--inspect"]
        else:
            words = few_steps(words)
        if "runs/other" in words:
            shutil.copytree(tmp_path / "runs" / "mine", tmp_path / "runs" / "other")
        done = pages.run(shlex.join(words), tmp_path)
        assert done.returncode == 0, f"{command}: {done.stdout[-500:]} {done.stderr[-2000:]}"


def test_what_is_not_run_here_is_still_on_a_page() -> None:
    for start in NOT_HERE:
        assert any(command.text.startswith(start) for command in COMMANDS), start
