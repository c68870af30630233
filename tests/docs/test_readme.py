"""Every command of the README runs as it stands there, and what it shows is so."""

import json
import pathlib
import re

import pytest

from tests.docs import pages
from tests.golden import record
from tests.processes import ROOT
from trainer import version

README = (ROOT / "README.md").read_text()
TABLE = (ROOT / "docs" / "guide" / "distribution.md").read_text()
COMMANDS = [command.text for command in pages.commands(ROOT / "README.md")]
RUN = [command for command in COMMANDS if command.startswith("python -m ")]
IS_KNOWN_CPU = version.kind_of_cpu() == record.KIND_OF_PAGES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An empty folder from which the repository's packages are imported."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.parametrize("command", RUN)
def test_command_runs(command: str, folder: pathlib.Path) -> None:
    done = pages.run(command, folder)
    assert done.returncode == 0, done.stderr


def test_every_other_command_only_makes() -> None:
    # `make` begins with an installation: benchmarks/first_minutes.py does it in a fresh clone.
    # What `make docs` runs is run by tests/docs/test_site.py.
    assert set(COMMANDS) - set(RUN) == {"make train", "make test", "make docs"}


def digest(*flags: str, folder: pathlib.Path) -> str:
    command = "python -m trainer --config=digits --config.epochs=2"
    done = pages.run(f"{command} --workdir={folder / 'run'} {' '.join(flags)}", folder)
    assert done.returncode == 0, done.stderr
    return str(json.loads((folder / "run" / "summary.json").read_text())["state_digest"])


def test_the_table_of_equal_digests_is_so(tmp_path: pathlib.Path) -> None:
    # tests/same_bits has four replicas and two workers; these are the rows of the table itself.
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    one = digest(folder=tmp_path / "1")
    assert digest("--cpu_replicas=2", folder=tmp_path / "2") == one
    rows = re.findall(r"^\| .+ \| `([0-9a-f]{16})` \|", TABLE, flags=re.MULTILINE)
    assert len(rows) == 4
    assert len(set(rows)) == 1
    assert not IS_KNOWN_CPU or rows[0] == one[:16]


@pytest.mark.slow
def test_make_train_ends_with_the_line_that_is_shown(tmp_path: pathlib.Path) -> None:
    done = pages.run("python -m trainer --config=digits --workdir=runs/digits", tmp_path)
    line = done.stdout.splitlines()[-1]
    assert re.sub(r"\d", "0", line.rpartition(" ")[0]) in re.sub(r"\d", "0", README)
    assert not IS_KNOWN_CPU or line in README
