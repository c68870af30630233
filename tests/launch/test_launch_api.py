"""`import launch`: a notebook sends its experiment, waits for it and reads what became of it."""

import subprocess
import sys

import pytest

import launch
from common.exit_codes import RunError
from launch.api import StillRunningError
from tests.processes import ROOT


def test_a_job_is_sent_waited_for_and_described(backend, job, lines):
    sent = launch.submit(job("mine", "0@0:print=hello", "0@*:exit=78"), backend)
    ended = sent.wait(timeout_secs=60)
    assert (ended.phase, ended.first_failure.exit_code) == ("failed", 78)
    assert sent.describe() == ended
    sent.logs(lines.append)
    assert lines == ["[worker 0] hello"]
    assert [one.name for one in launch.jobs(backend)] == ["mine"]
    assert launch.job("mine", backend).status().phase == "failed"
    sent.delete()
    assert launch.jobs(backend) == []
    with pytest.raises(RunError, match="there is no job 'mine'"):
        launch.job("mine", backend)


def test_waiting_has_an_end_and_a_job_can_be_stopped(backend, job):
    sent = launch.submit(job("long", "*@*:sleep"), backend)
    with pytest.raises(StillRunningError, match="long is still") as over:
        sent.wait(timeout_secs=0.2)
    assert over.value.status.name == "long"
    sent.cancel()
    assert sent.wait(timeout_secs=60).phase == "cancelled"


def test_what_the_trainer_would_refuse_is_not_sent(backend):
    spec = launch.JobSpec("bad", ("--config=digits", "--config.epochs=-1", "--workdir=w"))
    with pytest.raises(RunError, match="epochs"):
        launch.submit(spec, backend)
    assert launch.jobs(backend) == []


def test_a_job_on_a_cluster_is_the_same_to_its_sender(cluster_backend, api):
    spec = launch.JobSpec(
        "run", ("--config=digits", "--workdir=gs://BUCKET/run"), image="lockstep:0.1.0-cpu"
    )
    sent = launch.submit(spec, cluster_backend, check=False)
    assert sent.status().phase == "starting"
    [stored] = [one for one in api.objects.values() if one["kind"] == "Job"]
    [container] = stored["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "trainer"]


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, launch; launch.JobSpec; print([m for m in sys.modules if m in %r])"
    heavy = ("kubernetes", "fsspec", "tensorflow", "yaml", "trainer")
    done = subprocess.run(
        [sys.executable, "-c", code % (heavy,)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = launch.nothing
