"""A private copy of the tree, in which faults are planted and tests are run."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tests.mutation import last_test

_running: set[int] = set()  # process groups
_ENDED_WELL = (0, 5)  # pytest: all passed; nothing was selected


class PrivateTree:
    """Every file of a checkout, also those that git does not know yet, as one commit of its own."""

    def __init__(self, source: pathlib.Path, folder: pathlib.Path) -> None:
        self.folder = folder
        names = _git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, names.split("\0")):
            if (source / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, folder / name)
        # Some tests ask git for the files; nothing of the user's repository is used.
        _git(folder, "init", "--quiet")
        _git(folder, "add", "--all")
        _git(folder, "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "-m", "x")
        if (source / ".venv").exists():
            (folder / ".git" / "info" / "exclude").write_text(".venv\n")
            (folder / ".venv").symlink_to((source / ".venv").resolve())

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents of all files."""
        return hashlib.sha256(_git(self.folder, "ls-tree", "-r", "HEAD").encode()).hexdigest()

    def apply(self, patch: pathlib.Path) -> None:
        """Apply a unified diff.

        Raises:
            ValueError: with what git says where it does not apply.
        """
        try:
            _git(self.folder, "apply", str(patch.resolve()))
        except subprocess.CalledProcessError as error:
            raise ValueError(f"does not apply: {'; '.join(error.stderr.splitlines())}") from error

    def remove(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.folder)

    def first_failure(
        self, tests: Sequence[str], *, left_out: Sequence[str] = (), slow: bool = False, secs: int
    ) -> str | None:
        """Run `tests` in their order up to the first failure; return its id, or None.

        A file that cannot be collected is named by its path.

        Args:
            tests: files or ids.
            left_out: ids and files that are not run.
            slow: the slow ones instead of the others.
            secs: most seconds of one test.

        Raises:
            ValueError: where pytest cannot run them.
        """
        last = self.folder.with_name(f"{self.folder.name}.last")
        last.write_text("")
        without = [f"--deselect={t}" if "::" in t else f"--ignore={t}" for t in left_out]
        command = [sys.executable, "-m", "pytest", "-x", "-p", last_test.__name__]
        # By a thread: a test that hangs in native code takes no signal.
        command += [f"--timeout={secs}", "--timeout-method=thread", *without]
        # A test that is named by its id is run whatever it is.
        if not all("::" in test for test in tests):
            command += ["-m", "slow" if slow else "not slow"]
        env = os.environ | {last_test.PATH: str(last), "PYTHONDONTWRITEBYTECODE": "1"}
        with _group([*command, *tests], self.folder, env) as process:
            said, _ = process.communicate()
        if failed := last.read_text():
            return failed
        if process.returncode in _ENDED_WELL:
            return None
        raise ValueError(f"pytest ended with {process.returncode}: {said[-2000:].strip()}")

    def collects(self, file: str) -> bool:
        """Whether the tests of a file can be imported."""
        command = [sys.executable, "-m", "pytest", "--collect-only", file]
        with _group(command, self.folder, dict(os.environ)) as process:
            process.communicate()
        return process.returncode in _ENDED_WELL


@contextlib.contextmanager
def _group(
    command: Sequence[str], folder: pathlib.Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a command whose children end with it."""
    process = subprocess.Popen(
        command, cwd=folder, env=env, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    _running.add(process.pid)
    try:
        yield process
    finally:
        _running.discard(process.pid)
        _end(process.pid)


def end_all() -> None:
    """End all tests that run."""
    for group in tuple(_running):
        _end(group)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _git(folder: pathlib.Path, *words: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    asked = ["git", "-C", str(folder), *words]
    return subprocess.run(asked, env=env, capture_output=True, text=True, check=True).stdout
