"""The local backend with real processes: the same policy as a cluster."""

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from local_jobs import finish, until_running

from common.exit_codes import RunError
from launch.local import job_folder
from launch.local.job_folder import JobFolder
from launch.local.prepare import prepare
from launch.local.supervisor import Supervisor
from launch.local.worker import share_cores


def test_workers_get_the_cluster_description_of_a_cluster(backend, job, lines):
    backend.submit(job("pair", "*@*:env=TF_CONFIG", workers=2))
    assert finish(backend, "pair", lines).phase == "succeeded"
    found = {
        line.split("]")[0]: json.loads(line.split("TF_CONFIG=")[1])
        for line in lines
        if "TF_CONFIG=" in line
    }
    first, second = found["[worker 0"], found["[worker 1"]
    assert first["cluster"] == second["cluster"]
    assert len(set(first["cluster"]["worker"])) == 2
    assert first["task"] == {"type": "worker", "index": 0}
    assert second["task"] == {"type": "worker", "index": 1}


def test_one_worker_has_no_cluster(backend, job, lines, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "left over from another job")
    backend.submit(job("alone", "*@*:env=TF_CONFIG"))
    finish(backend, "alone", lines)
    assert "[worker 0] TF_CONFIG=None" in lines


def test_cores_are_shared_out(backend, job, lines):
    backend.submit(job("cores", "*@*:cores", workers=2))
    finish(backend, "cores", lines)
    shown = sorted(line.split("cores=")[1] for line in lines if "cores=" in line)
    assert shown == sorted(str(sorted(share)) for share in share_cores(2))


def test_a_killed_worker_restarts_the_job_and_is_counted(backend, job, lines):
    backend.submit(job("killed", "1@0:kill", "0@0:exit=201", workers=2))
    status = finish(backend, "killed", lines)
    assert (status.phase, status.restarts) == ("succeeded", 1)
    assert any("exit code 137: killed by SIGKILL" in line for line in lines)
    assert "[launch] restart 1 of 3" in lines


def test_a_worker_killed_from_outside_restarts(backend, job):
    backend.submit(job("outside", "*@0:sleep", workers=1))
    until_running(backend, "outside", 1)
    start = next(e for e in JobFolder(backend._root / "outside").events() if e["event"] == "start")
    os.kill(start["pid"], signal.SIGKILL)
    status = finish(backend, "outside")
    assert (status.phase, status.restarts) == ("succeeded", 1)


def test_a_bad_config_fails_at_once(backend, job):
    backend.submit(
        job("bad", "0@*:print=learning_rate=-1 must be > 0", "0@*:exit=78", "1@*:sleep", workers=2)
    )
    status = finish(backend, "bad")
    assert (status.phase, status.restarts) == ("failed", 0)
    assert "exit code 78: bad config" in str(status.first_failure)
    assert status.first_failure.worker == "worker 0"
    assert status.first_failure.last_lines == ("learning_rate=-1 must be > 0",)


def test_a_stop_is_restarted_and_not_counted(backend, job, lines):
    backend.submit(job("evicted", "*@0:exit=143", "*@1:exit=143", workers=2, max_restarts=0))
    status = finish(backend, "evicted", lines)
    assert (status.phase, status.restarts) == ("succeeded", 0)
    assert lines.count("[launch] restart (not counted)") == 2


def test_a_worker_that_was_told_to_stop_is_not_judged(backend, job, tmp_path):
    script = ("0@0:exit=143", "1@0:onterm=1", "1@0:sleep")
    spec = prepare(job("told", *script, workers=2, max_restarts=0), backend._root)
    folder, lock = job_folder.create(backend._root, spec, str(tmp_path))
    assert Supervisor(folder, peer_grace_secs=0.5).run() == "succeeded"
    os.close(lock)


def test_restarts_are_capped(backend, job):
    backend.submit(job("flaky", "*@*:exit=200", max_restarts=1))
    status = finish(backend, "flaky")
    assert (status.phase, status.restarts) == ("failed", 1)
    assert "--max_restarts=1" in status.detail


def test_cancel_lets_the_workers_save(backend, job, lines):
    backend.submit(job("stop", "*@*:sleep", workers=2))
    until_running(backend, "stop", 2)
    backend.cancel("stop")
    assert finish(backend, "stop", lines).phase == "cancelled"
    codes = [e["code"] for e in JobFolder(backend._root / "stop").events() if e["event"] == "exit"]
    assert codes == [143, 143]


def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace(backend, tmp_path, job):
    program = (
        "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); "
        "pathlib.Path('deaf').touch(); time.sleep(60)"
    )
    spec = dataclasses.replace(
        job("stubborn", grace_secs=1), command=(sys.executable, "-c", program)
    )
    backend.submit(spec)
    while not Path("deaf").exists():
        time.sleep(0.05)
    backend.cancel("stubborn")
    assert finish(backend, "stubborn").phase == "cancelled"


def test_a_job_that_cannot_start_says_so(backend, job):
    backend.submit(dataclasses.replace(job("nothing"), command=("/no/such/program",)))
    status = finish(backend, "nothing")
    assert status.phase == "failed"
    assert "/no/such/program" in status.detail


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accelerator": "h100", "devices_per_worker": 8}, "--backend=kubernetes"),
        ({"workers": 0}, "--workers=0 must be at least 1"),
        (
            {"workers": 3, "args": ("--config.virtual_replicas=4",)},
            "nearest: --workers=2",
        ),
    ],
)
def test_impossible_jobs_are_refused_before_anything_starts(backend, job, fields, message):
    with pytest.raises(RunError, match=message):
        backend.submit(dataclasses.replace(job("wrong"), **fields))
    assert backend.statuses() == []
