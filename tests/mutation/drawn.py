"""Small faults drawn at random from the text of a file, in memory."""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import random
import signal
import sys
import time
from collections.abc import Sequence

import pytest

from tests.mutation.mutants import Mutant, mutants

CHECKPOINT = "tests/checkpoint/test_checkpoint_"
TESTS = {
    "common/exit_codes.py": ["tests/common/test_exit_codes.py", "tests/launch"],
    **{f"common/{n}.py": [f"tests/common/test_{n}.py"] for n in ("files", "spelling")},
    "trainer/checkpoint/folder.py": [f"{CHECKPOINT}{n}.py" for n in ("damage", "disk", "store")],
    "trainer/checkpoint/saver.py": [f"{CHECKPOINT}disk.py"],
    "trainer/checkpoint/state.py": [f"{CHECKPOINT}store.py"],
    "trainer/checkpoint/store.py": [f"{CHECKPOINT}{n}.py" for n in ("damage", "disk", "store")],
    "trainer/data/serving/order.py": ["tests/data/test_order.py"],
    "trainer/engine/reduction.py": ["tests/engine/test_step.py"],
    **{str(p): ["tests/parts/test_losses.py"] for p in pathlib.Path("trainer/losses").glob("*.py")},
}
_SECS = 120


def run(files: Sequence[str], most: int, seed: int) -> None:
    """Print the share killed for each file.

    Each mutant runs the tests of its file in a forked process, up to the first failure. Survivors
    are listed: each is a test that is missing, or a fault that changes nothing.
    """
    all_killed = all_made = 0
    for file in files or TESTS:
        made = list(mutants(pathlib.Path(file).read_text()))
        if len(made) > most:
            made = random.Random(seed).sample(made, most)
        if _survives(file, None) is False:
            sys.exit(f"{file}: its tests fail without a mutant")
        alive = [mutant for mutant in made if _survives(file, mutant)]
        all_killed, all_made = all_killed + len(made) - len(alive), all_made + len(made)
        print(f"{file}: {len(made) - len(alive)} of {len(made)} killed", flush=True)
        for mutant in alive:
            print(f"    line {mutant.line}: {mutant.what}", flush=True)
    print(f"in all: {all_killed} of {all_made} killed ({all_killed / max(1, all_made):.1%})")


def _survives(file: str, mutant: Mutant | None) -> bool:
    """Run the tests of `file` with the mutant in its place; a test that hangs notices it too."""
    child = os.fork()
    if not child:
        _run_tests(file, mutant)
    deadline = time.monotonic() + _SECS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests(file: str, mutant: Mutant | None) -> None:
    with contextlib.suppress(BaseException):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(file, mutant))
        os._exit(pytest.main(["-x", "-m", "not slow", *TESTS[file]]))
    os._exit(1)


class _Finder:
    """Imports the mutant instead of the file."""

    def __init__(self, file: str, mutant: Mutant) -> None:
        self._name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self._file = file
        self._mutant = mutant

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(
            name, self._file, loader=_Loader(name, self._file, self._mutant)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, _: str) -> object:
        return compile(self._mutant.tree, self.path, "exec")
