"""The loop of an outside optimizer runs as it stands on the page, and again without training."""

import subprocess
import sys

from tests.docs import pages
from tests.processes import ROOT


def test_the_optimizer_of_the_page_is_asked_and_told_the_same_after_a_restart(tmp_path):
    [code] = pages.blocks(ROOT / "docs" / "guide" / "search.md", "python")
    (tmp_path / "search.py").write_text(code)
    said, written = [], []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "search.py"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.splitlines()[-1])
        saved = (tmp_path / "runs" / "narrowing").glob("trial-*/checkpoints/*/COMMIT")
        written.append({path: path.stat().st_mtime_ns for path in saved})
    assert said[0] == said[1]
    assert said[0].startswith("best rate: 0.")
    assert written[0] == written[1]
    assert len(written[0]) == 3
