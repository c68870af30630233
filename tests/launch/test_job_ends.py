"""An exit code of 0 is no success by itself: the run's summary says whether it came to its end."""

import dataclasses
import os
import socket
import sys
import time

import pytest
from fake_cluster import JOBS, ended, finish, pod, spec

from launch.code import remote_files
from launch.kubernetes.diagnosis import diagnose
from launch.local import job_folder
from launch.local.prepare import prepare
from launch.local.supervisor import Supervisor
from launch.spec.outcome import doubt
from launch.spec.status import JobStatus


def run(backend, job, **limits: float) -> JobStatus:
    folder, lock = job_folder.create(backend._root, prepare(job, backend._root), str(os.curdir))
    Supervisor(folder, **limits).run()
    os.close(lock)
    return backend.status(job.name)


def test_workers_that_all_end_with_0_before_the_end_have_failed(backend, job):
    found = run(backend, job("early", "*@*:exit=0", workers=2))
    assert found.phase == "failed"
    assert found.detail.startswith("every worker ended with 0, and runs/early/summary.json was not")
    assert "exit() in the experiment" in found.detail
    assert run(backend, job("done", "*@*:cores", workers=2)).phase == "succeeded"


def test_the_summary_of_an_earlier_job_says_nothing_of_this_one(backend, job, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "summary.json").write_text("{}")
    os.utime(tmp_path / "w" / "summary.json", (1, 1))
    assert run(backend, job("again", "--workdir=w", "*@*:exit=0")).phase == "failed"


def test_who_ends_with_0_early_does_not_keep_the_others_waiting(backend, job):
    started = time.monotonic()
    found = run(backend, job("one", "1@*:exit=0", "0@*:sleep", workers=2), peer_grace_secs=0.5)
    assert found.phase == "failed"
    assert time.monotonic() - started < 30  # the other one would sleep for 60


@pytest.mark.parametrize(
    ("args", "is_judged"),
    [
        (("--config=digits", "--workdir=w"), True),
        (("--config=digits", "--workdir", "w"), True),
        (("--config=digits", "--workdir=w", "--dry_run"), False),
        (("--fast_dev_run=true", "--workdir=w"), False),
        (("--config=digits", "--debug", "--workdir=w"), False),
        (("export", "--workdir=w"), False),
        (("--config=digits",), False),
        ((), False),
    ],
)
def test_only_what_trains_into_a_workdir_is_judged(args, is_judged):
    def nothing(path: str) -> float:
        raise FileNotFoundError(path)

    assert bool(doubt(args, nothing, 0)) == is_judged
    assert doubt(args, lambda path: {"w/summary.json": 9.0}[path], 8) == ""
    assert bool(doubt(args, lambda _: 7.0, 8)) == is_judged


def completed(cluster_backend, api, workdir: str) -> JobStatus:
    name = "cpu-smoke"
    job = JOBS + f"/{name}"
    cluster_backend.submit(spec(name))
    args = api.objects[job]["spec"]["template"]["spec"]["containers"][0]["args"]
    args[:] = ["--config=digits", f"--workdir={workdir}"]
    api.objects[job]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    finish(api, "Complete")
    return cluster_backend.report(name)


def test_a_complete_job_without_a_summary_in_its_bucket_has_failed(cluster_backend, api, tmp_path):
    assert completed(cluster_backend, api, f"file://{tmp_path}/run").phase == "failed"
    remote_files.write(f"file://{tmp_path}/summary.json", b"{}")
    api.objects.clear()
    assert completed(cluster_backend, api, f"file://{tmp_path}").phase == "succeeded"


def test_where_the_summary_is_out_of_reach_the_job_has_the_word_and_it_is_said(
    cluster_backend, api
):
    found = completed(cluster_backend, api, "nowhere://bucket/run")
    assert found.phase == "succeeded"
    assert "the summary cannot be read from here" in found.detail


def test_a_complete_sweep_is_judged_by_the_summaries_of_its_trials(cluster_backend, api, tmp_path):
    cluster_backend.submit(dataclasses.replace(spec("sweep"), name="cpu-smoke"))
    job = api.objects[f"{JOBS}/cpu-smoke"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    container["args"] = [a.replace("gs://BUCKET", f"file://{tmp_path}") for a in container["args"]]
    job["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    finish(api, "Complete")
    for index in range(3):
        found = cluster_backend.report("cpu-smoke")
        assert found.phase == "failed"
        assert f"trial-{index}/summary.json was not written" in found.detail
        (tmp_path / "sweep" / f"trial-{index}").mkdir(parents=True)
        (tmp_path / "sweep" / f"trial-{index}" / "summary.json").write_text("{}")
    assert cluster_backend.report("cpu-smoke").phase == "succeeded"


def test_a_pod_that_ended_with_0_is_why_its_peers_waited_in_vain():
    early = pod(1, "Succeeded", terminated=ended(0, 1))
    job = {"kind": "Job", "metadata": {"name": "j"}, "spec": {"parallelism": 2}}
    for code in (201, 202):
        found = diagnose(job, [pod(0, "Failed", terminated=ended(code, 9)), early]).first_failure
        assert str(found) == "worker 1, attempt 0: exit code 0: ended with 0 before the run's end"
    found = diagnose(job, [pod(0, "Failed", terminated=ended(200, 9)), early]).first_failure
    assert found.exit_code == 200


def test_ports_that_are_all_taken_are_the_reason(backend, job, monkeypatch):
    taken = socket.create_server(("", 0))
    port = taken.getsockname()[1]
    monkeypatch.setattr("launch.local.worker._PORTS", range(port, port + 1))
    folder, lock = job_folder.create(
        backend._root, prepare(job("full", workers=2), backend._root), str(os.curdir)
    )
    monkeypatch.setattr("signal.signal", lambda *_: None)
    sys.modules["launch.local.supervisor"].main(folder)
    os.close(lock)
    found = backend.status("full")
    assert found.phase == "failed"
    assert found.detail.startswith(f"0 ports of {port} to {port} are free, and 2 workers need one")
    taken.close()
