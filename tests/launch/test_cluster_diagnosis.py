"""What `describe` says of a job: the first failure, its reason, what keeps a worker waiting."""

import dataclasses

import pytest
from fake_cluster import JOBS, NAMESPACE, ended, finish, first_failure, pod, put, running, spec

from launch.code import remote_files
from launch.kubernetes.diagnosis import diagnose
from launch.kubernetes.pod_logs import lines_of
from launch.spec.status import describe


def test_the_first_failed_worker_is_named_with_its_last_lines(cluster_backend, api):
    cluster_backend.submit(spec())
    put(api, pod(0, "Failed", terminated=ended(201, second=9)))
    put(api, pod(1, "Failed", terminated=ended(70, 3, message="a\nb\nbug: x")))
    finish(api, "Failed", "PodFailurePolicy")
    page = describe(cluster_backend.status("cpu-smoke"))
    assert "first failure worker 1, attempt 0: exit code 70: bug" in page
    assert "    | bug: x" in page
    assert "try           read the log above the last line" in page


def test_out_of_memory_is_told_with_the_limit():
    killed = pod(0, "Failed", terminated=ended(137, reason="OOMKilled"))
    failure = first_failure([killed])
    assert "memory limit of 16Gi" in failure.reason
    assert "--memory_gib" in failure.advice


def test_an_evicted_worker_is_not_blamed_on_the_code():
    evicted = pod(0, "Failed", terminated=ended(143))
    evicted["status"]["conditions"] = [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "preempting to accommodate a higher priority pod",
        }
    ]
    failure = first_failure([evicted])
    assert "taken away by the cluster, PreemptionByScheduler" in failure.reason
    assert "not counted" in failure.advice


def test_a_failed_download_of_the_code_is_told_with_its_last_lines():
    lost = pod(0, "Failed", waiting={"reason": "PodInitializing"})
    fetch = ended(1, message="Traceback\nRuntimeError: gs://B/x.zip: 403")
    lost["status"]["initContainerStatuses"] = [
        {"name": "other", "state": {"terminated": ended(0)}},
        {"name": "fetch-code", "state": {"terminated": fetch}},
    ]
    failure = first_failure([lost])
    how = "fetch-code failed before the trainer started: Error, exit code 1"
    assert str(failure) == f"worker 0, attempt 0: {how}"
    assert list(lines_of(None, lost)) == [f"no log: {how}"]
    assert failure.last_lines[-1] == "RuntimeError: gs://B/x.zip: 403"


def test_a_stop_of_a_peer_does_not_hide_the_worker_that_failed():
    pods = [
        pod(0, "Failed", terminated=ended(143, second=1)),
        pod(1, "Failed", terminated=ended(202, second=5)),
    ]
    assert first_failure(pods).exit_code == 202


def test_a_worker_whose_pod_was_deleted_is_named_and_not_the_survivor(cluster_backend, api):
    cluster_backend.submit(spec())
    put(api, pod(0, "Failed", terminated=ended(201)))
    finish(api, "Failed", "BackoffLimitExceeded")
    page = describe(cluster_backend.status("cpu-smoke"))
    assert "first failure worker 1, attempt 0: its pod was deleted" in page


def test_the_newest_attempt_is_the_one_shown():
    pods = [
        pod(1, "Failed", 0, terminated=ended(201, second=1)),
        pod(1, "Failed", 1, terminated=ended(65, second=30)),
    ]
    assert str(first_failure(pods)).startswith("worker 1, attempt 1: exit code 65")


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                    }
                ],
            },
            "worker 0 finds no node: 0/3 nodes are available",
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"name": "trainer", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                ],
            },
            "ImagePullBackOff (check --image",
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {
                        "name": "trainer",
                        "state": {"waiting": {"reason": "CreateContainerConfigError"}},
                    }
                ],
            },
            "--secret_env",
        ),
    ],
)
def test_what_keeps_a_worker_from_starting_is_said(cluster_backend, api, status, shown):
    cluster_backend.submit(spec())
    waiting = pod(0, "Pending")
    waiting["status"] = status
    put(api, waiting)
    found = cluster_backend.status("cpu-smoke")
    assert found.phase == "starting"
    assert shown in found.detail
    assert "0 of 2 running" in found.detail


def test_pods_that_cannot_be_made_are_explained_by_events(cluster_backend, api):
    cluster_backend.submit(spec())
    api.put(
        f"/api/v1/namespaces/{NAMESPACE}/events/x",
        warning("cpu-smoke", "exceeded quota: gpus"),
    )
    said = cluster_backend.status("cpu-smoke").detail
    assert said == "0 of 2 running; no pod can be made: exceeded quota: gpus"
    put(api, running(0))
    said = cluster_backend.status("cpu-smoke").detail
    assert said == "1 of 2 running; not every pod can be made: exceeded quota: gpus"
    put(api, running(1))
    assert cluster_backend.status("cpu-smoke").detail == "2 of 2 running"
    put(api, pod(0, "Succeeded", terminated=ended(0)))
    assert cluster_backend.status("cpu-smoke").detail == "1 of 2 running, 1 done"
    assert cluster_backend.status("cpu-smoke").phase == "running"


def test_a_pod_that_waits_is_explained_by_its_events(cluster_backend, api):
    cluster_backend.submit(spec())
    waiting = pod(0, "Pending", waiting={"reason": "ContainerCreating"})
    put(api, waiting)
    put(api, running(1))
    missing = 'MountVolume.SetUp failed: configmap "cpu-smoke-code" not found'
    api.put(
        f"/api/v1/namespaces/{NAMESPACE}/events/x", warning(waiting["metadata"]["name"], missing)
    )
    said = cluster_backend.status("cpu-smoke").detail
    assert said == f"1 of 2 running; worker 0 waits: {missing}"


def test_the_newest_warning_is_shown_in_whatever_order_events_come(cluster_backend, api):
    cluster_backend.submit(spec())
    times = {"b": "10", "c": "30", "a": "20"}  # the server lists by name
    for name, second in times.items():
        event = warning("cpu-smoke", f"said at {second}")
        event["lastTimestamp"] = f"2026-01-01T00:00:{second}Z"
        api.put(f"/api/v1/namespaces/{NAMESPACE}/events/{name}", event)
    later = warning("cpu-smoke", "said at 40") | {"eventTime": "2026-01-01T00:00:40.000000Z"}
    assert "no pod can be made: said at 30" in cluster_backend.status("cpu-smoke").detail
    api.put(f"/api/v1/namespaces/{NAMESPACE}/events/a1", later)
    assert "no pod can be made: said at 40" in cluster_backend.status("cpu-smoke").detail
    asked = [query for _, path, query in api.requests if path.endswith("/events")]
    assert asked[-1] == {"fieldSelector": "involvedObject.name=cpu-smoke"}


def warning(about: str, message: str) -> dict:
    involved = {"involvedObject": {"name": about}}
    event = {"metadata": {}, "type": "Warning", "reason": "FailedCreate", "message": message}
    return {**event, **involved}


def test_a_queued_job_shows_place_and_conditions_verbatim(cluster_backend, api):
    queued = dataclasses.replace(spec(), queue="training")
    cluster_backend.submit(queued)
    job = api.objects[f"{JOBS}/cpu-smoke"]
    job["spec"]["suspend"] = True
    kueue = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{NAMESPACE}"
    owner = {"uid": job["metadata"]["uid"]}
    message = "couldn't assign flavors: insufficient unused quota for nvidia.com/gpu"
    condition = {"type": "QuotaReserved", "status": "False", "message": message}
    api.put(
        f"{kueue}/workloads/w",
        {
            "metadata": {"name": "w", "ownerReferences": [owner]},
            "status": {"conditions": [condition]},
        },
    )
    other = {"type": "QuotaReserved", "status": "False", "message": "of another job"}
    metadata = {"name": "v", "ownerReferences": [{"uid": "another"}]}
    api.put(f"{kueue}/workloads/v", {"metadata": metadata, "status": {"conditions": [other]}})
    place = {"metadata": {"name": "w"}, "positionInLocalQueue": 1}
    api.put(
        f"/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/{NAMESPACE}"
        "/localqueues/training/pendingworkloads",
        {"items": [{"metadata": {"name": "v"}, "positionInLocalQueue": 0}, place]},
    )
    found = cluster_backend.status("cpu-smoke")
    assert found.phase == "queued"
    assert "training at position 2 of 2" in found.detail
    assert f"QuotaReserved False: {message}" in found.detail
    assert "of another job" not in found.detail
    del job["spec"]["suspend"]  # admitted: it waits no more, and nobody asks Kueue
    api.requests.clear()
    assert cluster_backend.status("cpu-smoke").phase == "starting"
    assert not [path for _, path, _ in api.requests if "kueue" in path]


def test_restarts_of_the_whole_job_are_counted_once():
    job = {
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"parallelism": 4, "backoffLimit": 12},
        "status": {"failed": 8},
    }
    status = diagnose(job, [])
    assert (status.restarts, status.max_restarts) == (2, 3)
    for ending in ("FailureTarget", "Failed"):
        job["status"]["conditions"] = [{"type": ending, "status": "True"}]
        assert diagnose(job, []).restarts == 1


def test_a_job_has_ended_when_its_pods_have_stopped_not_when_that_is_decided(cluster_backend, api):
    cluster_backend.submit(spec())
    cluster_backend.cancel("cpu-smoke")
    finish(api, "FailureTarget", "DeadlineExceeded", "Job was active longer than 1 s")
    stopping = cluster_backend.status("cpu-smoke")
    assert stopping.phase == "running"
    assert stopping.detail == "stopping: DeadlineExceeded: Job was active longer than 1 s"
    finish(api, "Failed", "DeadlineExceeded")
    assert cluster_backend.status("cpu-smoke").phase == "cancelled"


def test_a_sweep_shows_one_line_a_trial(cluster_backend, api):
    trials = tuple((f"--config.seed={i}", f"--workdir=memory://sweep/{i}") for i in range(3))
    cluster_backend.submit(dataclasses.replace(spec("sweep"), trials=trials))
    remote_files.write("memory://sweep/0/summary.json", b'{"eval": {"accuracy": 0.75}}')
    api.objects[f"{JOBS}/sweep"]["status"] = {"completedIndexes": "0"}
    failed = pod(1, "Failed", terminated=ended(78))
    failed["metadata"]["labels"]["app.kubernetes.io/instance"] = "sweep"
    put(api, failed)
    assert cluster_backend.report("sweep").trials == (
        "  0  seed=0  done accuracy=0.75",
        "  1  seed=1  exit code 78: "
        "bad config, cluster description, or checkpoint that does not match the model",
        "  2  seed=2  no result",
    )
