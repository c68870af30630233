"""Whether the tests notice a fault that is planted: in a private copy, confirmed on a sound one."""

import dataclasses
import functools
import json
import pathlib
import threading
import time
from collections.abc import Callable

from tests.mutation import fitting
from tests.mutation.private_tree import PrivateTree

SECS = 300  # most of one test: a fault that hangs is noticed by that


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: short, unique.
        plant: puts it into a private tree; a ValueError says why it cannot.
        digest: of all that makes it.
        tests: files or ids that are run, in this order; the likely ones of `changed` if empty.
        changed: files that it changes.
    """

    name: str
    plant: Callable[[PrivateTree], None]
    digest: str
    tests: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclasses.dataclass
class Result:
    """What came of one fault.

    Attributes:
        verdict: `killed`, `survived` or `error`.
        test: that killed it.
        why: it is an error.
        broken: tests that failed, but fail without the fault too, or passed when run again.
        key: what the result holds for: fault, tree and whether slow tests were run.
    """

    verdict: str
    secs: int
    test: str = ""
    why: str = ""
    broken: list[str] = dataclasses.field(default_factory=list)
    key: str = ""

    def line(self, name: str) -> str:
        said = {
            "killed": f"killed by {self.test} in {self.secs} s",
            "survived": f"survived {self.secs} s of tests",
            "error": f"error: {self.why}",
        }[self.verdict]
        counted = "".join(
            f"\n    not counted, fails without it or not always: {t}" for t in self.broken
        )
        return f"{name} {said}{counted}"


class Bench:
    """Sound copy of a tree, and what was found out about its tests."""

    def __init__(self, root: pathlib.Path, folder: pathlib.Path) -> None:
        self.folder = folder
        self.sound = PrivateTree(root, folder / "sound")
        # Faults are planted in copies of this one: the user may go on with his work meanwhile.
        self.root = self.sound.folder
        self._one = threading.Lock()

    def judge(self, fault: Fault, *, first: str = "", slow: bool = False) -> Result:
        """Plant one fault and run tests until one fails that passes without it.

        Args:
            fault: the fault.
            first: a test that is run before all others: the one that killed it last time.
            slow: when the likely tests pass, go on with all other tests and the slow ones.
        """
        began = time.monotonic()
        tree = PrivateTree(self.root, self.folder / fault.name)
        broken: list[str] = []
        try:
            fault.plant(tree)
            killer = self._killer(tree, self._rounds(fault, first, slow), broken)
        except ValueError as error:
            return Result("error", 0, why=str(error))
        finally:
            tree.remove()
        secs = round(time.monotonic() - began)
        return Result("killed" if killer else "survived", secs, killer, broken=broken)

    def _rounds(self, fault: Fault, first: str, slow: bool) -> list[tuple[list[str], bool]]:
        """Lists of tests, and whether they are the slow ones."""
        likely = list(fault.tests) or fitting.likely([*fault.changed], self.root)
        rounds = [([first], False)] if _is_there(first, self.root) else []
        rounds += [(likely, False)]
        if slow and not fault.tests:
            others = fitting.others(likely, self.root)
            rounds += [(others, False), (likely, True), (others, True)]
        return [(tests, is_slow) for tests, is_slow in rounds if tests]

    def _killer(
        self, tree: PrivateTree, rounds: list[tuple[list[str], bool]], broken: list[str]
    ) -> str:
        for tests, slow in rounds:
            while failed := tree.first_failure(tests, left_out=broken, slow=slow, secs=SECS):
                # Twice, for what a busy machine fails once is no news; one test alone is believed.
                if self._passes_without(failed) and (tests == [failed] or _fails(tree, failed)):
                    return failed
                broken.append(failed)
        return ""

    def _passes_without(self, test: str) -> bool:
        with self._one:
            return self._sound_passes(test)

    @functools.cache  # noqa: B019 - lives as long as the program
    def _sound_passes(self, test: str) -> bool:
        return not _fails(self.sound, test)


def _fails(tree: PrivateTree, test: str) -> bool:
    if "::" in test:
        return tree.first_failure([test], secs=SECS) is not None
    return not tree.collects(test)


def _is_there(test: str, root: pathlib.Path) -> bool:
    file, _, name = test.partition("::")
    path = root / file
    return bool(name) and path.is_file() and f"def {name.partition('[')[0]}(" in path.read_text()


class Results:
    """A JSON file of results by name of the fault, written after each."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        raw = json.loads(path.read_text()) if path.exists() else {}
        self.found = {name: Result(**result) for name, result in raw.items()}
        self._one = threading.Lock()

    def put(self, name: str, result: Result) -> None:
        with self._one:
            self.found[name] = result
            self.path.parent.mkdir(parents=True, exist_ok=True)
            plain = {n: dataclasses.asdict(r) for n, r in sorted(self.found.items())}
            self.path.write_text(json.dumps(plain, indent=1))
