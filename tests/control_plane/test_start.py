"""Starting and ending the programs of a cluster; needs no cluster itself."""

import os
import subprocess
import sys
from pathlib import Path

from tests.control_plane import daemons
from tests.processes import ROOT

# It shows the folder of the run in its command line, as every program of the cluster does.
WAITS = (sys.executable, "-c", "import time; time.sleep(60)")


def alive(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and ") Z " not in state.read_text()


def test_what_was_started_is_ended_and_what_took_its_number_is_not(tmp_path):
    own = daemons.start(tmp_path, "own", *WAITS, str(tmp_path))
    other = daemons.start(tmp_path, "other", *WAITS)
    assert daemons.number(tmp_path, "own") == own
    daemons.end(tmp_path)
    try:
        daemons.until(lambda: not alive(own), "still there", secs=10)
        assert alive(other)
        assert not list(tmp_path.glob("*.pid"))
    finally:
        os.kill(other, 9)


def test_a_node_that_cannot_be_says_loudly_what_is_missing(tmp_path):
    (tmp_path / "nsenter").symlink_to("/bin/true")
    command = [sys.executable, "-m", "tests.control_plane.control_plane", "up", "x", "--node"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    said = "containerd, runc, ctr" if os.geteuid() == 0 else "a node needs root"
    assert ended.stderr.startswith("NO CLUSTER: ")
    assert said in ended.stderr
