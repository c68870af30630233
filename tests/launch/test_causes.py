"""One order of causes: every exit code and every reason of Kubernetes, beside a survivor's 201."""

import dataclasses
import itertools

import pytest
from fake_cluster import ended, first_failure, pod, put, running, spec

from common.exit_codes import ExitCode
from launch.kubernetes import reasons
from launch.kubernetes.diagnosis import diagnose
from launch.local import history
from launch.local.job_folder import JobFolder
from launch.spec import exit_policy
from launch.spec.causes import Cause
from launch.spec.status import describe, table

OF_CODES = {
    1: Cause.CODE,
    2: Cause.CODE,
    64: Cause.CODE,
    65: Cause.DATA,
    66: Cause.CODE,
    70: Cause.CODE,
    78: Cause.CODE,
    126: Cause.CODE,
    127: Cause.CODE,
    130: Cause.KILLED,
    134: Cause.CODE,
    137: Cause.KILLED,
    139: Cause.CODE,
    143: Cause.STOPPED,
    200: Cause.STORAGE,
    201: Cause.PEER,
    202: Cause.HANG,
    203: Cause.HARDWARE,
}
CONDITION, STATUS, ENDED, WAITING = "a condition", "the status", "an end", "waiting"
_IMAGES = "ErrImagePull ImagePullBackOff ErrImageNeverPull ImageInspectError RegistryUnavailable"
OF_REASONS = {
    ("EvictionByEvictionAPI", CONDITION): Cause.EVICTION,
    ("PreemptionByScheduler", CONDITION): Cause.EVICTION,
    ("TerminationByKubelet", CONDITION): Cause.EVICTION,
    ("DeletionByTaintManager", CONDITION): Cause.NODE,
    ("DeletionByPodGC", CONDITION): Cause.NODE,
    ("Evicted", STATUS): Cause.EVICTION,
    ("Preempting", STATUS): Cause.EVICTION,
    ("Terminated", STATUS): Cause.NODE,
    ("NodeShutdown", STATUS): Cause.NODE,
    ("Shutdown", STATUS): Cause.NODE,
    ("NodeLost", STATUS): Cause.NODE,
    ("NodeAffinity", STATUS): Cause.NODE,
    ("OutOfcpu", STATUS): Cause.NODE,
    ("OutOfmemory", STATUS): Cause.NODE,
    ("OutOfnvidia.com/gpu", STATUS): Cause.NODE,
    ("UnexpectedAdmissionError", STATUS): Cause.NODE,
    ("TopologyAffinityError", STATUS): Cause.NODE,
    ("OOMKilled", ENDED): Cause.MEMORY,
    ("StartError", ENDED): Cause.IMAGE,
    ("ContainerCannotRun", ENDED): Cause.IMAGE,
    ("ContainerStatusUnknown", ENDED): Cause.NODE,
    ("CreateContainerConfigError", WAITING): Cause.CODE,
    ("CreateContainerError", WAITING): Cause.IMAGE,
    ("RunContainerError", WAITING): Cause.IMAGE,
    ("PostStartHookError", WAITING): Cause.IMAGE,
    ("CrashLoopBackOff", WAITING): Cause.IMAGE,
    ("InvalidImageName", WAITING): Cause.IMAGE,
    ("SignatureValidationFailed", WAITING): Cause.IMAGE,
    ("CreatePodSandboxError", WAITING): Cause.NODE,
    **dict.fromkeys(itertools.product(_IMAGES.split(), [WAITING]), Cause.IMAGE),
}
# Said by events of pods that wait, and shown as they are; the pod's status has no word of them.
_MOUNTS = "FailedMount FailedAttachVolume FailedMapVolume FailedBinding ProvisioningFailed"
_OTHERS = "FailedCreatePodSandBox NetworkNotReady NodeNotReady DeadlineExceeded"
OF_EVENTS = {*_MOUNTS.split(), *_OTHERS.split()}


def with_reason(reason: str, place: str) -> dict:
    """Worker 1 as the cluster reports it."""
    said = {"reason": reason, "message": f"so it is with {reason}"}
    if place == WAITING:
        return pod(1, "Pending", waiting=said)
    if place == ENDED:
        return pod(1, "Failed", terminated=ended(137, 2, reason, said["message"]))
    failed = pod(1, "Failed", terminated=ended(143, 2))
    if place == STATUS:
        failed["status"] = {"phase": "Failed", **said}
    else:
        condition = {"type": "DisruptionTarget", "status": "True", **said}
        failed["status"]["conditions"] = [condition]
    return failed


def survivor(second: int) -> dict:
    return pod(0, "Failed", terminated=ended(201, second))


def test_every_code_and_every_reason_has_a_row():
    named = {*ExitCode, *exit_policy.SHELL_CODES, *exit_policy.PYTHON_CODES} - {0}
    assert set(OF_CODES) >= {int(code) for code in named}
    assert {reason for reason, _ in OF_REASONS} | OF_EVENTS >= set(reasons._TABLE)


@pytest.mark.parametrize("second", [1, 2, 3], ids=["before", "the same second", "after"])
@pytest.mark.parametrize("code", OF_CODES)
def test_an_exit_code_outranks_the_survivor_unless_it_was_only_stopped(code, second):
    for pods in itertools.permutations(
        [survivor(second), pod(1, "Failed", terminated=ended(code, 2))]
    ):
        found = first_failure(pods)
        expected = (201, Cause.PEER) if code == 143 else (code, OF_CODES[code])
        assert (found.exit_code, found.cause) == expected


@pytest.mark.parametrize("second", [1, 2, 3], ids=["before", "the same second", "after"])
@pytest.mark.parametrize(("reason", "place"), OF_REASONS)
def test_a_reason_of_the_cluster_outranks_the_survivor_and_is_quoted(reason, place, second):
    for pods in itertools.permutations([survivor(second), with_reason(reason, place)]):
        found = first_failure(pods)
        assert (found.worker, found.cause) == ("worker 1", OF_REASONS[reason, place])
        assert reason in found.reason
        limit = reason == "OOMKilled"
        assert ("memory limit of 16Gi" if limit else f"so it is with {reason}") in found.reason
        assert found.advice


@pytest.mark.parametrize("code", OF_CODES)
def test_a_local_worker_is_judged_by_the_same_order(tmp_path, code):
    ends = [
        {"event": "exit", "worker": w, "attempt": 0, "code": c, "told_to_stop": False}
        for w, c in (("worker 0", 201), ("worker 1", code))
    ]
    for order in itertools.permutations(ends):
        found, earlier = history.failures(order, JobFolder(tmp_path))
        expected = (201, Cause.PEER) if code == 143 else (code, OF_CODES[code])
        assert ((found.exit_code, found.cause), earlier) == (expected, ())


def test_a_refusal_of_the_trainer_is_not_hidden_by_the_eviction_that_came_upon_it():
    both = pod(1, "Failed", terminated=ended(78))
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    both["status"]["conditions"] = [condition]
    assert first_failure([both]).exit_code == 78


def test_an_eviction_says_what_to_raise():
    full = with_reason("Evicted", STATUS)
    full["status"]["message"] = 'Usage of EmptyDir volume "tmp" exceeds the limit "20Gi". '
    assert "--scratch_gib" in first_failure([full]).advice
    full["status"]["message"] = "The node was low on resource: memory. Threshold quantity: 100Mi"
    assert "--memory_gib" in first_failure([full]).advice


def test_attempts_before_are_one_line_each(cluster_backend, api):
    cluster_backend.submit(spec())
    for attempt, code in enumerate((137, 200, 70)):
        start = 10 * attempt
        for index, ends in ((0, 201), (1, code)):
            one = pod(index, "Failed", attempt, terminated=ended(ends, start + 5))
            one["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{start:02}Z"
            put(api, one)
    found = cluster_backend.status("cpu-smoke")
    assert (found.first_failure.worker, found.first_failure.exit_code) == ("worker 1", 70)
    assert found.earlier == (
        "worker 1, attempt 0: exit code 137: killed by SIGKILL",
        "worker 1, attempt 1: exit code 200: storage or network transient, retry budget spent",
    )
    assert "  attempts before\n    worker 1, attempt 0: exit code 137" in describe(found)


def test_what_the_cluster_took_away_is_counted_apart(cluster_backend, api):
    cluster_backend.submit(spec())
    full = 'Usage of EmptyDir volume "tmp" exceeds the limit "20Gi". '
    for attempt in range(3):
        one = with_reason("Evicted", STATUS)
        made = pod(1, "Failed", attempt)
        one["metadata"] = made["metadata"]
        one["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{10 * attempt:02}Z"
        one["status"]["message"] = full
        put(api, one)
    found = cluster_backend.status("cpu-smoke")
    assert (found.restarts, found.uncounted) == (0, 3)
    page = describe(found)
    assert "restarts      0 of 3, and 3 not counted" in page
    assert page.count(full.strip()) == 3


def test_a_page_shows_ten_attempts_and_how_many_are_left_out():
    one = diagnose({"kind": "Job", "metadata": {"name": "j"}, "spec": {}}, [])
    many = dataclasses.replace(one, earlier=tuple(f"line {i}" for i in range(13)))
    page = describe(many)
    assert "attempts before, 3 older left out" in page
    assert "line 2\n" not in page
    assert "line 3\n" in page


def test_a_silent_node_is_said_in_place_of_running(cluster_backend, api):
    cluster_backend.submit(spec())
    silent = running(1)
    silent["spec"]["nodeName"] = "node-7"
    turned = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:05:00Z"}
    silent["status"]["conditions"] = [turned]
    put(api, running(0))
    put(api, silent)
    found = cluster_backend.status("cpu-smoke")
    why = "worker 1: node node-7 not ready since 2026-01-01T00:05:00Z"
    assert (found.phase, found.detail) == ("running", f"1 of 2 running; {why}")
    assert why in table([found])
    put(api, survivor(9))
    assert cluster_backend.status("cpu-smoke").first_failure.cause is Cause.NODE


def jobset(**status: object) -> dict:
    group = {"name": "worker", "template": {"spec": {"parallelism": 2}}}
    head = {
        "name": "run",
        "namespace": "lockstep",
        "labels": {"app.kubernetes.io/managed-by": "lockstep"},
    }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": head,
        "spec": {"replicatedJobs": [group], "failurePolicy": {"maxRestarts": 3}},
        "status": status,
    }


def job_event(second: int, reason: str, message: str) -> dict:
    return {
        "metadata": {},
        "involvedObject": {"kind": "Job", "name": "run-worker-0"},
        "lastTimestamp": f"2026-01-01T00:00:{second:02}Z",
        "type": "Warning",
        "reason": reason,
        "message": message,
    }


EXITED = "Container trainer for pod lockstep/run-worker-0-1-abcde failed with exit code {} matching"
TAKEN = "Pod lockstep/run-worker-0-0-abcde has condition DisruptionTarget matching"
SPENT = "Job has reached the specified backoff limit"


def test_what_ended_the_attempts_of_a_jobset_is_kept_by_events(cluster_backend, api):
    events = [
        job_event(3, "PodFailurePolicy", f"{EXITED.format(78)} FailJob rule at index 2"),
        job_event(1, "PodFailurePolicy", f"{TAKEN} FailJob rule at index 0"),
        job_event(2, "BackoffLimitExceeded", SPENT),
    ]
    root = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/lockstep/jobsets"
    api.put(f"{root}/run", jobset(restarts=2))
    for index, event in enumerate(events):
        api.put(f"/api/v1/namespaces/lockstep/events/{index}", event)
    found = cluster_backend.status("run")
    assert str(found.first_failure).startswith("worker 1, attempt 2: exit code 78: bad config")
    assert found.earlier == (
        "worker 0, attempt 0: taken away by the cluster",
        f"run-worker-0, attempt 1: {SPENT}",
    )
    asked = [query for _, path, query in api.requests if path.endswith("/events")]
    assert {"fieldSelector": "involvedObject.name=run-worker-0"} in asked


def test_pods_that_are_still_there_tell_of_their_attempt_themselves():
    event = job_event(9, "BackoffLimitExceeded", SPENT)
    pods = [pod(1, "Failed", terminated=ended(137, 2, "OOMKilled")), survivor(2)]
    found = diagnose(jobset(restarts=0), pods, [event])
    assert (found.first_failure.cause, found.earlier) == (Cause.MEMORY, ())


def test_a_job_whose_pods_are_gone_tells_what_its_condition_names():
    message = f"{EXITED.format(65)} FailJob rule at index 2"
    condition = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}
    job = {"kind": "Job", "metadata": {"name": "run"}, "spec": {}}
    job["status"] = {"conditions": [{**condition, "message": message}]}
    found = diagnose(job, []).first_failure
    assert (found.worker, found.exit_code, found.cause) == ("worker 1", 65, Cause.DATA)
