"""The commands that the pages show, and how a reader runs them."""

import dataclasses
import os
import pathlib
import re
import shlex
import subprocess

from tests.processes import ROOT

PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if page.name != "CHANGELOG.md"  # which tells of commands as they were
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_PROGRAMS = "python|make|kubectl|docker|podman|skopeo|tensorboard|pip|source|git|gcloud|curl|sh"
_INLINE = re.compile(rf"`((?:{_PROGRAMS}|\.venv/bin/[\w-]+) [^`]+)`")


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a page, as a reader would type it."""

    page: pathlib.Path
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the shell; a comment is none."""
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        """Return the name of a test case."""
        return f"{self.page.relative_to(ROOT)}: {self.text}"


def fenced(page: pathlib.Path) -> list[tuple[str, str]]:
    """Return kind (sh, python, yaml, ...) and text of the fenced blocks, in their order."""
    return _FENCE.findall(page.read_text())


def blocks(page: pathlib.Path, kind: str) -> list[str]:
    """Return the fenced blocks of one kind."""
    return [body for found, body in fenced(page) if found == kind]


def commands(page: pathlib.Path) -> list[Command]:
    """Return what stands in blocks of shell, in indented blocks, and in a line of text."""
    text = page.read_text()
    prose = _FENCE.sub("", text)
    indented = re.findall(r"(?:^|\n\n)((?:    .*\S.*(?:\n|$))+)", prose)
    shown = [*blocks(page, "sh"), *(re.sub("^    ", "", b, flags=re.MULTILINE) for b in indented)]
    lines = "\n".join(shown).replace("\\\n", " ").splitlines()
    typed = [line.partition("  #")[0].strip() for line in lines]
    inline = [" ".join(found.split()) for found in _INLINE.findall(prose)]
    return [Command(page, line) for line in dict.fromkeys([*typed, *inline]) if line]


def run(command: str, folder: pathlib.Path) -> "subprocess.CompletedProcess[str]":
    """Run a command as it stands, in `folder`, with the repository's packages."""
    return subprocess.run(
        shlex.split(command), cwd=folder, env=environment(folder),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def environment(folder: pathlib.Path) -> dict[str, str]:
    """Return that of a reader in `folder`, with the repository's packages."""
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    own = {"PYTHONPATH": str(ROOT), "PATH": path}
    return {**os.environ, **own, "XDG_STATE_HOME": str(folder / "state")}  # of local jobs
