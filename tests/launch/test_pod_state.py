"""What one pod says of itself: why it waits, why it failed, its last lines."""

import pytest
from fake_cluster import ended, first_failure, pod

from launch.kubernetes.diagnosis import diagnose
from launch.kubernetes.pod_state import stuck, worker_name

STUCK = {
    "ErrImagePull": "check --image and the pull secrets of the service account",
    "ImagePullBackOff": "check --image and the pull secrets of the service account",
    "InvalidImageName": "correct --image",
    "CreateContainerConfigError": "check that the Secret and key of --secret_env exist",
    "CreateContainerError": "check the image's command",
}


def waits(reason: str, field: str = "containerStatuses", phase: str = "Pending") -> dict:
    waiting = pod(2, phase)
    state = {"waiting": {"reason": reason, "message": "so it is"}}
    waiting["status"][field] = [{"name": "any", "state": state}]
    return waiting


@pytest.mark.parametrize("field", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize("reason", STUCK)
def test_what_keeps_any_container_from_starting_is_said_with_what_to_do(reason, field):
    assert stuck(waits(reason, field)) == f"worker 2: {reason}: so it is ({STUCK[reason]})"


def test_what_only_takes_its_time_is_not_stuck():
    assert stuck(waits("ContainerCreating")) == ""
    assert stuck(waits("ErrImagePull", phase="Running")) == ""
    scheduled = pod(0, "Pending")
    scheduled["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]
    assert stuck(scheduled) == ""


def test_the_last_five_lines_are_shown():
    failed = pod(0, "Failed", terminated=ended(70, message="\n".join("abcdefg")))
    assert first_failure([failed]).last_lines == tuple("cdefg")


def test_a_container_beside_the_trainer_is_not_asked():
    failed = pod(0, "Failed", terminated=ended(70))
    beside = {"name": "gcsfuse-sidecar", "state": {"terminated": ended(1)}}
    failed["status"]["containerStatuses"].insert(0, beside)
    limits = {"name": "gcsfuse-sidecar", "resources": {"limits": {"memory": "1Gi"}}}
    failed["spec"]["containers"].insert(0, limits)
    assert first_failure([failed]).exit_code == 70
    killed = pod(0, "Failed", terminated=ended(137, reason="OOMKilled"))
    killed["spec"]["containers"].insert(0, limits)
    assert "memory limit of 16Gi" in first_failure([killed]).reason


def test_memory_that_fetching_the_code_took_is_not_the_trainers():
    lost = pod(0, "Failed", waiting={"reason": "PodInitializing"})
    fetch = {"name": "fetch-code", "state": {"terminated": ended(137, reason="OOMKilled")}}
    lost["status"]["initContainerStatuses"] = [fetch]
    said = "fetch-code failed before the trainer started: OOMKilled, exit code 137"
    assert first_failure([lost]).reason == said


def test_a_condition_that_does_not_hold_says_nothing():
    failed = pod(0, "Failed", terminated=ended(70))
    failed["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "False"}]
    assert first_failure([failed]).reason == "bug, or divergence after the rollback budget"


def test_pods_of_a_jobset_are_called_by_their_group():
    host = pod(3, "Running")
    host["metadata"]["labels"]["jobset.sigs.k8s.io/replicatedjob-name"] = "host"
    assert worker_name(host) == "host 3"
    nameless = {"metadata": {"name": "x"}}
    assert worker_name(nameless) == "x"
    by_annotation = {"metadata": {"annotations": dict(host["metadata"]["labels"])}}
    assert worker_name(by_annotation) == "worker 3"


def job(**fields: object) -> dict:
    container = {
        "command": ["python", "-c", "first\nsecond"],
        "args": ["--workdir=gs://B/old", "x" * 200, "y" * 201, "--workdir=gs://B/new"],
    }
    template = {"template": {"spec": {"containers": [container]}}}
    head = {"name": "j", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": "Job", "metadata": head, "spec": {"parallelism": 3, **template}, **fields}


def test_a_job_shows_its_command_without_programs_and_the_workdir_that_counts():
    found = diagnose(job(), [])
    assert found.workdir == "gs://B/new"
    words = ["python -c ... --workdir=gs://B/old", "x" * 200, "...", "--workdir=gs://B/new"]
    assert found.command == " ".join(words)
    assert (found.name, found.backend, found.created) == ("j", "kubernetes", "2026-01-01T00:00:00Z")


def test_a_jobset_shows_the_command_that_drives_it_and_waits_for_all_groups():
    inner = job()["spec"]
    hosts = {"parallelism": 4, "template": {"spec": {"containers": [{"command": ["serve"]}]}}}
    groups = [{"template": {"spec": hosts}}, {"template": {"spec": inner}}]
    jobset = {"kind": "JobSet", "metadata": {"name": "j"}, "spec": {"replicatedJobs": groups}}
    found = diagnose(jobset, [pod(i, "Running") for i in range(4)])
    assert found.workdir == "gs://B/new"
    assert found.detail == "4 of 7 running"


@pytest.mark.parametrize(
    ("phases", "shown"),
    [
        ([], ("starting", "0 of 3 running")),
        (["Running"], ("running", "1 of 3 running")),
        (["Pending"] * 3, ("starting", "0 of 3 running")),
        (["Succeeded", "Running", "Running"], ("running", "2 of 3 running, 1 done")),
        (["Succeeded"] * 3, ("running", "0 of 3 running, 3 done")),
    ],
)
def test_three_workers_are_counted_by_what_they_do(phases, shown):
    found = diagnose(job(), [pod(i, phase) for i, phase in enumerate(phases)])
    assert (found.phase, found.detail) == shown


@pytest.mark.parametrize(
    ("condition", "held", "otherwise"),
    [
        ("Complete", "succeeded", "starting"),
        ("Completed", "succeeded", "starting"),
        ("Failed", "failed", "starting"),
        ("FailureTarget", "running", "starting"),
        ("Suspended", "queued", "starting"),
    ],
)
def test_only_a_condition_that_holds_decides(condition, held, otherwise):
    for status, phase in (("True", held), ("False", otherwise), ("Unknown", otherwise)):
        found = diagnose(job(status={"conditions": [{"type": condition, "status": status}]}), [])
        assert found.phase == phase


def test_a_cancelled_job_is_not_called_failed():
    cancelled = job(status={"conditions": [{"type": "Failed", "status": "True", "reason": "X"}]})
    assert (diagnose(cancelled, []).phase, diagnose(cancelled, []).detail) == ("failed", "X")
    cancelled["metadata"]["annotations"] = {"lockstep/cancelled": "true"}
    assert diagnose(cancelled, []).phase == "cancelled"
