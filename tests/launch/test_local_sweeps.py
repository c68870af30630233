"""Sweeps on this machine: each trial for itself, on cores of its own."""

import os
import time
from pathlib import Path

import fsspec
import pytest
from local_jobs import finish

from launch.local.job_folder import JobFolder


def test_a_sweep_retries_each_trial_for_itself(backend, job, monkeypatch):
    trials = tuple((f"--config.rate={i}", f"--workdir=out/trial-{i}") for i in range(3))
    backend.submit(
        job("grid", "1@0:kill", "2@*:exit=78", "--workdir=out", trials=trials, parallel_trials=2)
    )
    status = finish(backend, "grid")
    assert status.phase == "failed"
    assert status.restarts == 1
    monkeypatch.chdir("/")  # the workdirs are those of the folder in which the job was submitted
    trials = backend.report("grid").trials
    assert [line.split(maxsplit=2)[2] for line in trials[:2]] == ["done accuracy=0.5"] * 2
    assert "exit code 78" in trials[2]


def test_a_failed_sweep_names_a_trial_that_failed_for_good(backend, job):
    trials = tuple((f"--workdir=runs/mixed/{i}",) for i in range(2))
    backend.submit(job("mixed", "0@0:kill", "1@*:exit=78", trials=trials))
    status = finish(backend, "mixed")
    assert (status.phase, status.first_failure.worker) == ("failed", "trial 1")
    assert status.first_failure.exit_code == 78


def test_the_results_of_trials_are_read_from_a_bucket(backend, job, tmp_path):
    # A URL that the stand-in takes for a folder of its own, and every process reads alike.
    (tmp_path / "bucket").mkdir()
    backend.submit(
        job("remote", "*@*:await=now", trials=((f"--workdir=file://{tmp_path}/bucket",),))
    )
    with fsspec.open(f"file://{tmp_path}/bucket/summary.json", "w") as file:
        file.write('{"eval": {"accuracy": 0.75}}')
    Path("now").touch()
    assert finish(backend, "remote").phase == "succeeded"
    assert backend.report("remote").trials == ("  0    done accuracy=0.75",)


def test_a_cancelled_sweep_starts_no_further_trial(backend, job):
    trials = tuple((f"--workdir=runs/queue/{i}",) for i in range(6))
    backend.submit(job("queue", "*@*:sleep", trials=trials, parallel_trials=2))
    deadline = time.monotonic() + 15
    while len(list(Path("runs/queue").glob("*/started-*"))) < 2:
        assert time.monotonic() < deadline, backend.status("queue")
        time.sleep(0.05)
    backend.cancel("queue")
    assert finish(backend, "queue").phase == "cancelled"
    events = JobFolder(backend._root / "queue").events()
    begun = [event["worker"] for event in events if event["event"] == "start"]
    assert sorted(begun) == ["trial 0", "trial 1"]
    shown = [line.split(maxsplit=1)[1] for line in backend.report("queue").trials]
    assert ["state saved" in line for line in shown] == [True] * 2 + [False] * 4
    assert shown[2:] == ["no result"] * 4


def test_trials_that_run_together_never_share_cores(backend, job):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core is shared by all")
    # Trial 1 ends at once; trial 2 takes its place beside trial 0, which waits for trial 2's log.
    script = ("0@*:await=runs/grid/2", "*@*:cores")
    trials = tuple((f"--workdir=runs/grid/{i}",) for i in range(3))
    backend.submit(job("grid", *script, trials=trials, parallel_trials=2))
    assert finish(backend, "grid").phase == "succeeded"
    shown = [JobFolder(backend._root / "grid").log(f"trial-{i}", 0).read_text() for i in range(3)]
    assert shown[1] == shown[2] != shown[0]
