"""The promise, with the real trainer: workers, kills and restarts do not change the result."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.local.backend import LocalBackend
from launch.local.job_folder import JobFolder
from launch.spec.status import ENDED

RUN = ("--config=digits", "--config.virtual_replicas=4", "--config.epochs=8")


def launch(state: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch", args[0], f"--state_dir={state}", *args[1:]],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def digest(workdir: Path) -> str:
    return json.loads((workdir / "summary.json").read_text())["state_digest"]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the undisturbed run in one process."""
    workdir = tmp_path_factory.mktemp("one")
    command = [sys.executable, "-m", "trainer", *RUN, f"--workdir={workdir}"]
    subprocess.run(command, capture_output=True, timeout=240, check=True)
    return digest(workdir)


def test_two_local_workers_give_the_digest_of_one_process(one_process, tmp_path):
    done = launch(
        tmp_path / "state", "local", "--workers=2", "--", *RUN, f"--workdir={tmp_path / 'run'}"
    )
    assert done.returncode == 0, done.stdout
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["replicas"] == 2
    assert digest(tmp_path / "run") == one_process


def test_a_worker_killed_in_the_middle_does_not_change_the_digest(one_process, tmp_path):
    state, workdir = tmp_path / "state", tmp_path / "run"
    run = (*RUN, f"--workdir={workdir}")
    often = "--config.checkpoint_every_steps=20"
    submitted = launch(state, "submit", "--workers=2", "--name=hit", "--", *run, often)
    assert submitted.returncode == 0, submitted.stderr
    while (stacks := launch(state, "attach", "--worker=1", "hit")).returncode:  # not started yet
        assert LocalBackend(state).status("hit").phase not in ENDED
    assert "trainer/__main__.py" in stacks.stdout
    while not list(workdir.glob("checkpoints/*/COMMIT")):
        status = LocalBackend(state).status("hit")
        assert status.phase not in ENDED, status
        time.sleep(0.02)
    starts = [e for e in JobFolder(state / "hit").events() if e["event"] == "start"]
    os.kill(next(e["pid"] for e in starts if e["worker"] == "worker 1"), signal.SIGKILL)
    waited = launch(state, "wait", "--timeout_secs=200", "hit")
    assert waited.returncode == 0, waited.stdout
    assert digest(workdir) == one_process
    attempts = json.loads((workdir / "goodput.json").read_text())
    assert 0 < attempts[-1]["first_step"] < attempts[-1]["last_step"], "not in the middle"
    (row,) = json.loads(launch(state, "top", "--backend=local", "--output=json").stdout)
    assert (row["phase"], row["step"]) == ("succeeded", row["total_steps"])
    described = launch(state, "describe", "hit").stdout
    assert "restarts      1 of 3" in described
    assert "worker 1, attempt 0: exit code 137: killed by SIGKILL" in described


def test_a_bad_config_fails_at_once_and_says_why(tmp_path):
    bad = ("--config.optimizer.learning_rate=-1", f"--workdir={tmp_path / 'run'}")
    done = launch(tmp_path / "state", "local", "--name=bad", "--", *RUN, *bad)
    assert done.returncode == 78
    assert "nothing was sent" in done.stderr
    done = launch(tmp_path / "state", "local", "--name=bad", "--nocheck", "--", *RUN, *bad)
    assert done.returncode == 1
    assert "restart 1" not in done.stdout
    described = launch(tmp_path / "state", "describe", "bad").stdout
    assert "exit code 78: bad config" in described
    assert "learning_rate" in described.split("last lines")[1]
