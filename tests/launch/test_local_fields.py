"""What each field of a job does on this machine: variables, limits, placement, the state kept."""

import dataclasses
import os
import sys
import time

import effects
import pytest

from common.exit_codes import RunError
from launch.local import job_folder, worker
from launch.local.prepare import prepare
from launch.local.supervisor import Supervisor
from launch.local.worker import environment, share_cores
from launch.spec.halving import Halving
from launch.spec.job import JobSpec
from launch.spec.parts import Egress, Resource

ALL = JobSpec(
    name="all",
    args=("--config=digits", "é"),
    command=("python", "-c", "pass"),
    image="a:1",
    accelerator="l4",
    topology="2x2",
    workers=3,
    devices_per_worker=2,
    cpus=5,
    memory_gib=6,
    scratch_gib=7,
    platform="plain",
    namespace="team",
    service_account="robot",
    workload_identity="a@b",
    env=(("A", "1"), ("B", "")),
    secret_env=effects.SECRETS,
    mounts=effects.MOUNTS,
    node_selector=(("zone", "a"),),
    arch="arm64",
    toleration=effects.TAINTS,
    runtime_class="nvidia",
    resource=(Resource("amd.com/gpu", 4),),
    egress=(Egress("10.1.2.3/32", 3128),),
    requirements=effects.PACKAGES,
    spot=True,
    queue="q",
    priority_class="high",
    max_restarts=8,
    deadline_hours=9,
    grace_secs=10,
    ttl_hours=11,
    jobset=True,
    trainjob=True,
    pod_monitor=9100,
    privileged="rdma",
    trials=(("--a=1", "--b=2"), ("--a=3",)),
    parallel_trials=2,
    halving=(Halving("eval/loss", train_steps=9),),
)


def run(job: JobSpec, backend, change=None) -> list[dict]:
    """The events of a job that ran to its end in this process; `change` meets its supervisor."""
    folder, lock = job_folder.create(backend._root, prepare(job, backend._root), str(os.curdir))
    supervisor = Supervisor(folder)
    if change:
        change(supervisor)
    supervisor.run()
    os.close(lock)
    return folder.events()


def test_every_field_of_a_job_outlives_the_process_that_submitted_it(tmp_path):
    defaults = JobSpec(name="all")
    same = {
        field.name
        for field in dataclasses.fields(JobSpec)
        if getattr(ALL, field.name) == getattr(defaults, field.name)
    }
    assert same == {"name", "code"}, "every other field has to differ from its default"
    folder, lock = job_folder.create(tmp_path, ALL, "/here")
    os.close(lock)
    assert folder.spec() == ALL
    assert folder.directory() == "/here"


def test_variables_reach_every_worker_and_win_over_those_of_the_shell(
    backend, job, lines, monkeypatch
):
    monkeypatch.setenv("COLOUR", "of the shell")
    monkeypatch.setenv("HUB", "secret of the shell")
    script = ("*@*:env=COLOUR", "*@*:env=HUB", "*@*:env=PYTHONUNBUFFERED")
    backend.submit(
        job("vars", *script, workers=3, env=(("COLOUR", "$red"),), secret_env=effects.SECRETS[:1])
    )
    backend.follow("vars", lines.append)
    for index in range(3):
        said = [f"[worker {index}] {line}" for line in ("COLOUR=$red", "HUB=secret of the shell")]
        assert set(said) <= set(lines)
        assert f"[worker {index}] PYTHONUNBUFFERED=1" in lines


def test_a_path_of_the_user_comes_behind_the_files_of_code(backend, job, lines, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/shell")
    script = ("*@*:env=PYTHONPATH", "*@*:env=LOCKSTEP_JOB")
    mine = {"env": (("PYTHONPATH", "/mine"),), "code": effects.FILES}
    backend.submit(job("path", *script, **mine))
    backend.follow("path", lines.append)
    copy = backend._root / "path" / "code"
    assert f"[worker 0] PYTHONPATH={copy}{os.pathsep}/mine" in lines
    [named] = [line for line in lines if "LOCKSTEP_JOB=" in line]
    assert named.startswith("[worker 0] LOCKSTEP_JOB=path (")
    assert named.endswith(f":{backend._root / 'path'})")


def test_a_secret_that_this_machine_does_not_have_is_asked_for(backend, job):
    with pytest.raises(RunError, match="export BOT before you submit"):
        backend.submit(job("none", secret_env=effects.SECRETS[1:]))


@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_a_job_is_started_once_and_restarted_as_often_as_it_may(
    backend, job, restarts, monkeypatch
):
    monkeypatch.setattr("launch.local.supervisor.restart_delay_secs", lambda _: 0)
    events = run(job("again", "*@*:exit=200", max_restarts=restarts), backend)
    assert [event["attempt"] for event in events if event["event"] == "start"] == list(
        range(restarts + 1)
    )
    told = [(e["counted"], e["total"]) for e in events if e["event"] == "restart"]
    assert told == [(True, number + 1) for number in range(restarts)]
    assert events[-1]["reason"] == f"--max_restarts={restarts} are used up"


def test_a_stop_between_two_counted_restarts_is_not_counted(backend, job, monkeypatch):
    monkeypatch.setattr("launch.local.supervisor.restart_delay_secs", lambda _: 0)
    script = ("*@0:exit=200", "*@1:exit=143", "*@2:exit=201")
    events = run(job("mixed", *script, max_restarts=2), backend)
    told = [(e["counted"], e["total"]) for e in events if e["event"] == "restart"]
    assert told == [(True, 1), (False, 1), (True, 2)]
    assert events[-1]["phase"] == "succeeded"


def test_the_deadline_stops_the_workers_and_fails_the_job(backend, job):
    left = []

    def shorten(supervisor: Supervisor) -> None:
        left.append(supervisor._deadline - time.monotonic())
        supervisor._deadline = time.monotonic() + 1

    events = run(job("late", "*@*:sleep", deadline_hours=2), backend, shorten)
    assert left[0] == pytest.approx(2 * 3600, abs=60)
    [end] = [event for event in events if event["event"] == "exit"]
    assert (end["code"], end["told_to_stop"]) == (143, True)
    assert (events[-1]["phase"], events[-1]["reason"]) == ("failed", "--deadline_hours=2 is over")


@pytest.mark.parametrize(("at_a_time", "most"), [(1, 1), (2, 2), (9, 3)])
def test_so_many_trials_run_at_a_time_and_no_more(backend, job, at_a_time, most):
    trials = tuple((f"--workdir=runs/width/{i}",) for i in range(3))
    rivals = [f"*@*:await=runs/width/{i}" for i in range(most)]

    def in_time(supervisor: Supervisor) -> None:
        supervisor._deadline = time.monotonic() + 30  # fewer at a time would wait for the others

    events = run(job("width", *rivals, trials=trials, parallel_trials=at_a_time), backend, in_time)
    running, seen = 0, []
    for event in events:
        running += {"start": 1, "exit": -1}.get(event["event"], 0)
        seen.append(running)
    assert max(seen) <= most
    assert events[-1]["phase"] == "succeeded"


def test_the_environment_of_a_worker_is_what_a_cluster_would_set(tmp_path):
    base = {"A": "1", "TF_CONFIG": "left over", "PYTHONPATH": "/mine"}
    alone = environment(base, ["localhost:1"], 0, None)
    assert alone == {
        "A": "1",
        "PYTHONPATH": "/mine",
        "JOB_COMPLETION_INDEX": "0",
        "PYTHONUNBUFFERED": "1",
    }
    third = environment(base, ["a:1", "b:2", "c:3"], 2, tmp_path)
    assert third["JOB_COMPLETION_INDEX"] == "2"
    assert third["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/mine"
    assert third["TF_CONFIG"] == (
        '{"cluster":{"worker":["a:1","b:2","c:3"]},"task":{"type":"worker","index":2}}'
    )
    assert environment({}, ["a:1"], 0, tmp_path)["PYTHONPATH"] == str(tmp_path)


@pytest.mark.parametrize(
    ("cores", "count", "shares"),
    [
        ({0, 1, 2, 3, 4}, 3, [{0, 3}, {1, 4}, {2}]),
        ({3, 5}, 2, [{3}, {5}]),
        ({3, 5}, 3, [{3}, {5}, {3}]),
        ({7}, 1, [{7}]),
    ],
)
def test_cores_go_to_one_worker_each_where_there_are_enough(monkeypatch, cores, count, shares):
    monkeypatch.setattr(worker.os, "sched_getaffinity", lambda _: cores)
    assert share_cores(count) == shares


def test_what_the_command_line_leaves_out_is_filled_in_for_this_machine(tmp_path):
    def args(**fields: object) -> tuple[str, ...]:
        return prepare(JobSpec(name="job", **fields), tmp_path).args

    assert args() == ("--workdir=runs/job",)
    assert args(args=("--workdir=w",)) == ("--workdir=w",)
    assert args(workers=3) == ("--strategy=multi_worker", "--workdir=runs/job")
    own = ("--strategy=cpu", "--workdir=w")
    assert args(workers=3, args=own) == own
    copy = f"{tmp_path}/job/code/mine.py"
    mine = ("--config=/lockstep/code/mine.py", "--workdir=w")
    assert args(args=mine, code=effects.FILES) == (f"--config={copy}", "--workdir=w")
    assert args(args=mine) == mine


def test_a_dry_run_shows_each_worker_or_trial(backend):
    command = (sys.executable, "-m", "trainer")
    spec = JobSpec(name="job", args=("--workdir=a b",), command=command)
    line = f"{sys.executable} -m trainer '--workdir=a b'"
    assert backend.dry_run(spec) == [line]
    trials = (("--config.seed=1",), ("--config.seed=2",))
    shown = backend.dry_run(dataclasses.replace(spec, trials=trials))
    assert shown == [f"{line} --config.seed={seed}" for seed in (1, 2)]
