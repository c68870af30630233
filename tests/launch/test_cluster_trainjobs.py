"""A TrainJob on a cluster: what its JobSet says is said of it, and what is done is done to it.

The server is a stand-in; Kubeflow Trainer's controller is real in tests/control_plane only.
"""

import pytest
from fake_cluster import PODS, ended, put, running, spec

from common.exit_codes import RunError
from launch.spec.causes import Cause

ROOT = "/apis/{}/namespaces/lockstep/{}"
TRAINJOB = ROOT.format("trainer.kubeflow.org/v1alpha1", "trainjobs/trainjob")
RUNTIME = ROOT.format("trainer.kubeflow.org/v1alpha1", "trainingruntimes/trainjob")
JOBSET = ROOT.format("jobset.x-k8s.io/v1alpha2", "jobsets/trainjob")
EVENT = {
    "metadata": {},
    "involvedObject": {"kind": "TrainJob", "name": "trainjob"},
    "type": "Warning",
    "reason": "TrainJobResourcesCreationFailed",
    "message": "TrainJob resources reconciliation failed: no such field",
}


@pytest.fixture
def submitted(cluster_backend, api):
    cluster_backend.submit(spec("trainjob"))
    return cluster_backend


def make_jobset(api, **fields):
    """What Kubeflow Trainer's controller does."""
    template = api.objects[RUNTIME]["spec"]["template"]
    trainjob = api.objects[TRAINJOB]
    head = {"name": "trainjob", "namespace": "lockstep", **template["metadata"]}
    owner = {"kind": "TrainJob", "uid": trainjob["metadata"]["uid"]}
    api.put(
        JOBSET,
        {
            "kind": "JobSet",
            "metadata": {**head, "ownerReferences": [owner]},
            "spec": template["spec"] | {"suspend": trainjob["spec"].get("suspend", False)},
            "status": fields,
        },
    )


def condition(kind, reason="", message=""):
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def of_trainjob(pod):
    """A pod of `fake_cluster` as one of the JobSet `trainjob`."""
    labels = pod["metadata"]["labels"]
    labels["app.kubernetes.io/instance"] = "trainjob"
    labels["jobset.sigs.k8s.io/replicatedjob-name"] = "worker"
    return pod


def test_the_runtime_is_made_before_the_trainjob_and_belongs_to_it(submitted, api):
    created = [path for path in api.sent("POST") if "dry run" not in path]
    assert [path.rpartition("/")[2] for path in created][-2:] == ["trainingruntimes", "trainjobs"]
    [owner] = api.objects[RUNTIME]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("TrainJob", api.objects[TRAINJOB]["metadata"]["uid"])


def test_a_dry_run_asks_for_all_but_the_trainjob_and_says_so(cluster_backend, api):
    lines = cluster_backend.dry_run(spec("trainjob"))
    assert lines[1:] == [
        "TrainingRuntime/trainjob: accepted",
        "TrainJob/trainjob: not asked, for its TrainingRuntime has to be there first",
    ]
    assert [path.rpartition("/")[2] for path in api.sent("POST")] == [
        "networkpolicies (dry run)",
        "trainingruntimes (dry run)",
    ]


def test_a_trainjob_that_is_refused_leaves_no_runtime_behind(cluster_backend, api):
    api.refusals[f"POST {TRAINJOB.rpartition('/')[0]}"] = (403, "admission webhook denied")
    with pytest.raises(RunError, match="policy of the cluster"):
        cluster_backend.submit(spec("trainjob"))
    assert api.objects == {}


@pytest.mark.parametrize(
    ("event", "why"),
    [(None, "its controller has not made the JobSet"), (EVENT, EVENT["message"])],
)
def test_before_there_is_a_jobset_it_is_said_why(submitted, api, event, why):
    if event:
        api.put("/api/v1/namespaces/lockstep/events/1", event)
    found = submitted.status("trainjob")
    assert (found.phase, found.detail) == ("starting", f"no pod can be made yet: {why}")


def test_a_runtime_that_is_not_supported_fails_the_job(submitted, api):
    failed = condition("Failed", "TrainingRuntimeNotSupported", "unsupported runtime")
    api.objects[TRAINJOB]["status"] = {"conditions": [failed]}
    found = submitted.status("trainjob")
    assert (found.phase, found.detail) == (
        "failed",
        "TrainingRuntimeNotSupported: unsupported runtime",
    )


PHASES = {
    "running": ({}, ("running", "1 of 2 running")),
    "done": (
        {"conditions": [condition("Completed", "AllJobsCompleted", "all done")]},
        ("succeeded", "all done"),
    ),
    "failed": (
        {"conditions": [condition("Failed", "FailedJobs", "a job failed")]},
        ("failed", "FailedJobs: a job failed"),
    ),
    "suspended": (
        {"conditions": [condition("Suspended")]},
        ("queued", "suspended"),
    ),
}


@pytest.mark.parametrize(("status", "shown"), PHASES.values(), ids=PHASES)
def test_the_phase_is_that_of_the_jobset(submitted, api, status, shown):
    make_jobset(api, **status)
    put(api, of_trainjob(running(0)))
    for found in (submitted.status("trainjob"), *submitted.statuses()):
        assert (found.phase, found.detail) == shown


def test_command_workdir_and_restarts_are_those_of_the_jobset(submitted, api):
    make_jobset(api, restarts=2, restartsCountTowardsMax=1)
    [found] = submitted.statuses()
    assert (found.workdir, found.restarts, found.max_restarts) == ("gs://BUCKET/trainjob", 1, 3)
    assert "--strategy=multi_worker" in found.command
    assert [run.workdir for run in submitted.runs("trainjob")] == ["gs://BUCKET/trainjob"]


def test_the_worker_that_began_it_is_named(submitted, api):
    make_jobset(api, conditions=[condition("Failed")])
    for index, code in ((0, 201), (1, 137)):
        pod = of_trainjob(running(index))
        pod["status"]["phase"] = "Failed"
        state = ended(code, reason="OOMKilled" if code == 137 else "Error")
        pod["status"]["containerStatuses"][0]["state"] = {"terminated": state}
        put(api, pod)
    found = submitted.status("trainjob").first_failure
    assert (found.worker, found.cause) == ("worker 1", Cause.MEMORY)


def test_an_attempt_whose_pods_are_gone_is_read_from_events(submitted, api):
    make_jobset(api, restarts=1)
    message = "Container trainer for pod lockstep/trainjob-worker-0-1-abcde failed with exit code "
    event = {
        "metadata": {},
        "involvedObject": {"kind": "Job", "name": "trainjob-worker-0"},
        "lastTimestamp": "2026-01-01T00:00:01Z",
        "type": "Warning",
        "reason": "PodFailurePolicy",
        "message": f"{message}65 matching FailJob rule at index 2",
    }
    api.put("/api/v1/namespaces/lockstep/events/1", event)
    found = submitted.status("trainjob").first_failure
    assert (found.worker, found.exit_code) == ("worker 1", 65)


def test_logs_are_those_of_the_pods(submitted, api, lines):
    make_jobset(api)
    pod = of_trainjob(running(0))
    put(api, pod)
    api.logs[f"{PODS}/{pod['metadata']['name']}/log"] = ["step 1\n"]
    submitted.logs("trainjob", lines.append)
    assert lines == ["[worker 0] step 1"]


def test_a_job_in_a_queue_is_found_by_the_trainjob(submitted, api):
    api.objects[TRAINJOB]["spec"]["suspend"] = True
    make_jobset(api)
    uid = api.objects[TRAINJOB]["metadata"]["uid"]
    waits = {**condition("QuotaReserved"), "status": "False", "message": "no quota"}
    owned = {"name": "w", "ownerReferences": [{"uid": uid}]}
    api.put(
        "/apis/kueue.x-k8s.io/v1beta2/namespaces/lockstep/workloads/w",
        {"metadata": owned, "status": {"conditions": [waits]}},
    )
    found = submitted.status("trainjob")
    assert found.phase == "queued"
    assert found.detail == "waits in queue training; QuotaReserved False: no quota"


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_the_trainjob_ends_and_not_its_jobset_which_would_come_back(submitted, api, verb):
    make_jobset(api)
    getattr(submitted, verb)("trainjob")
    assert api.sent("DELETE") == [TRAINJOB]


def test_an_end_is_not_cancelled(submitted, api):
    make_jobset(api, conditions=[condition("Completed")])
    submitted.cancel("trainjob")
    assert api.sent("DELETE") == []


def test_a_jobset_that_outlives_its_trainjob_is_no_job(submitted, api):
    make_jobset(api)
    del api.objects[TRAINJOB]
    assert submitted.statuses() == []
    with pytest.raises(RunError, match="no job 'trainjob'"):
        submitted.status("trainjob")


def test_the_jobset_of_an_earlier_trainjob_of_the_same_name_says_nothing(submitted, api):
    make_jobset(api, conditions=[condition("Completed")])
    api.objects[TRAINJOB]["metadata"]["uid"] = "another"
    for found in (submitted.status("trainjob"), *submitted.statuses()):
        assert found.phase == "starting"
