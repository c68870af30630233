"""Patches of a folder: which are killed, by which test, and which tests do not count."""

import pathlib
import shutil
import subprocess

import pytest

from tests.mutation import fitting
from tests.mutation.__main__ import judge, patches
from tests.mutation.faults import Results
from tests.mutation.private_tree import PrivateTree
from tests.processes import ROOT


def patch(old: str, new: str) -> str:
    head = "--- a/trainer/losses/small.py\n+++ b/trainer/losses/small.py\n@@ -1,2 +1,2 @@\n"
    return f"{head} def double(x):\n-    return {old}\n+    return {new}\n"


FILES = {
    "trainer/losses/small.py": "def double(x):\n    return 2 * x\n",
    "tests/parts/test_broken.py": "def test_that_never_passes():\n    assert False\n",
    "tests/parts/test_far.py": "def test_far():\n    pass\n",
    "tests/parts/test_small.py": (
        "from trainer.losses.small import double\n\ndef test_double():\n    assert double(3) == 6\n"
    ),
    "patches/dies.patch": patch("2 * x", "__import__('os')._exit(0)"),
    "patches/kills.patch": patch("2 * x", "3 * x"),
    "patches/lives.patch": patch("2 * x", "x * 2"),
    "patches/stale.patch": patch("4 * x", "3 * x"),
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("tests/mutation/last_test.py", "pyproject.toml"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "root" / name)
    subprocess.run(["git", "init", "--quiet", tmp_path / "root"], check=True)
    return tmp_path / "root"


def judged(root: pathlib.Path, capsys) -> list[str]:
    results = Results(root.parent / "results.json")
    assert judge(patches(root / "patches"), results, slow=False, jobs=2, root=root) == 1
    return capsys.readouterr().out.splitlines()


def test_a_patch_is_killed_by_a_test_that_passes_without_it(root, capsys, monkeypatch):
    said = judged(root, capsys)
    killer = "killed by tests/parts/test_small.py::test_double in "
    assert said[0].startswith(f"dies {killer}")
    assert said[1].startswith(f"kills {killer}")
    assert said[2].startswith("lives survived ")
    assert said[3].endswith("tests/parts/test_broken.py::test_that_never_passes")
    assert said[4].startswith("stale error: does not apply: ")
    assert said[5].startswith("in all: 2 of 3 killed, 1 could not be tried")
    assert (root / "trainer/losses/small.py").read_text() == FILES["trainer/losses/small.py"]
    # What was found is not looked for again.
    monkeypatch.setattr(PrivateTree, "first_failure", None)
    assert judged(root, capsys) == said


def test_tests_that_import_what_is_changed_come_first(root):
    changed = ["trainer/losses/small.py"]
    likely = fitting.likely(changed, root)
    assert likely == [f"tests/parts/test_{name}.py" for name in ("small", "broken", "far")]
    assert fitting.others(likely, root) == []
