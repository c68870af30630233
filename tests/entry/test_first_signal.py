"""SIGTERM as process 1 of a container, and an exit of the user's code in the middle of a run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.exit_codes import ExitCode
from tests.processes import ROOT, trainer

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
VERBS = {
    "train": ("--config=digits", "--config.epochs=900", "--workdir=w"),
    "predict": ("predict", "--workdir=w", "--help"),
    "tune": ("tune", "--config=digits"),
    "export": ("export", "--workdir=w"),
}


def needs_namespaces() -> None:
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("process namespaces cannot be made here")


def first_of(child: int) -> int:
    """The process that is number 1 in the namespace below `unshare`, once it runs Python."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = Path(f"/proc/{child}/task/{child}/children").read_text().split()
        if text and b"trainer" in Path(f"/proc/{text[0]}/cmdline").read_bytes():
            return int(text[0])
        time.sleep(0.001)
    raise AssertionError("no child")


def catches(pid: int) -> bool:
    [mask] = [
        line.split()[1]
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("SigCgt")
    ]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("verb", VERBS)
def test_sigterm_ends_process_1_before_anything_heavy_is_imported(verb, tmp_path):
    needs_namespaces()
    command = [*UNSHARE, sys.executable, "-m", "trainer", *VERBS[verb]]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pid = first_of(process.pid)
    while not catches(pid):
        assert process.poll() is None
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "numpy" not in maps
    assert "tensorflow" not in maps
    os.kill(pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == ExitCode.STOPPED
    assert said == ExitCode.STOPPED.last_line("SIGTERM; nothing was begun to save") + "\n"


def test_a_run_that_the_experiment_ends_with_0_is_no_success(tmp_path):
    (tmp_path / "ends.py").write_text(
        "import sys\nfrom trainer import TrainConfig\n\n\ndef get_config():\n    sys.exit(0)\n"
    )
    ended = trainer(f"--config={tmp_path}/ends.py", f"--workdir={tmp_path}/w")
    assert ended.code == 78
    assert "ends.py:6: exit(0) before the end of the run" in ended.stderr
