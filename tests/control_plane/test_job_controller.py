"""The real Job controller and scheduler; the kubelet is played by the tests.

No node is needed: the pods ask for a node label that nobody has, and the tests write the pods'
statuses as a kubelet would. So this file runs on a bare control plane too.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.exit_codes import RunError
from launch.kubernetes.cluster import Cluster
from launch.spec.status import describe
from tests.control_plane.daemons import until
from tests.control_plane.kubelet import Kubelet, spec, until_phase


@pytest.fixture
def kubelet(cluster: Cluster, namespace: str) -> Kubelet:
    return Kubelet(cluster, namespace)


def test_a_permanent_code_fails_the_job_at_once(backend, namespace, kubelet):
    backend.submit(spec(namespace, "permanent", workers=2))
    first, _ = kubelet.wait("permanent", 2)
    kubelet.end(first, 78, "virtual_replicas=3 does not divide 64")
    status = until_phase(backend, "permanent", "failed")
    assert "PodFailurePolicy" in status.detail
    assert "exit code 78: bad config" in describe(status)
    assert "virtual_replicas=3 does not divide 64" in describe(status)


def test_a_stop_is_replaced_and_not_counted(backend, cluster, namespace, kubelet):
    backend.submit(spec(namespace, "stopped", max_restarts=0))
    [first] = kubelet.wait("stopped", 1)
    kubelet.end(first, 143)
    until(lambda: kubelet.pods("stopped") and kubelet.pods("stopped")[0] != first, "no replacement")
    job = cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/stopped")
    assert not job["status"].get("failed")
    [second] = kubelet.wait("stopped", 1)
    kubelet.end(second, 0)
    assert until_phase(backend, "stopped", "succeeded").restarts == 0


def test_an_evicted_worker_is_replaced_and_not_counted(backend, cluster, namespace, kubelet):
    backend.submit(spec(namespace, "displaced", max_restarts=0))
    [first] = kubelet.wait("displaced", 1)
    kubelet.run(first)
    kubelet.evict(first)
    kubelet.end(first, 137)
    [second] = kubelet.wait("displaced", 1)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    job = cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/displaced")
    assert not job["status"].get("failed")
    kubelet.end(second, 0)
    assert until_phase(backend, "displaced", "succeeded").restarts == 0


def test_a_transient_code_is_counted_and_capped(backend, namespace, kubelet):
    backend.submit(spec(namespace, "transient", max_restarts=0))
    [only] = kubelet.wait("transient", 1)
    kubelet.end(only, 200)
    assert "BackoffLimitExceeded" in until_phase(backend, "transient", "failed").detail


def test_a_sweep_fails_the_trial_and_not_the_others(backend, cluster, namespace, kubelet):
    trials = (("--workdir=gs://B/0",), ("--workdir=gs://B/1",))
    backend.submit(spec(namespace, "trials", trials=trials, parallel_trials=2))
    pods = {
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod
        for pod in kubelet.wait("trials", 2)
    }
    kubelet.end(pods["0"], 78)
    kubelet.end(pods["1"], 0)
    until_phase(backend, "trials", "failed")
    job = cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/trials")
    assert (job["status"]["failedIndexes"], job["status"]["completedIndexes"]) == ("0", "1")


def test_a_job_is_followed_from_its_start_over_a_restart_to_its_end(backend, namespace, kubelet):
    lines: list[str] = []
    backend.submit(spec(namespace, "followed", workers=2, max_restarts=1))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(backend.follow, "followed", lines.append, -1, time.monotonic() + 120)
        first, second = kubelet.wait("followed", 2)
        kubelet.run(first)
        until(lambda: any("starting: 1 of 2 running" in line for line in lines), lines)
        kubelet.run(second)
        until(lambda: any("running: 2 of 2 running" in line for line in lines), lines)
        kubelet.end(first, 201, "worker 1 left")
        kubelet.end(second, 200)
        for pod in kubelet.wait("followed", 2):
            kubelet.end(pod, 0)
        status = ended.result()
    assert (status.phase, status.restarts) == ("succeeded", 1)
    assert "worker 1 left" in describe(status)


def test_cancel_ends_the_job_and_leaves_it_for_describe(backend, namespace, kubelet):
    backend.submit(spec(namespace, "cancelled", workers=2))
    kubelet.wait("cancelled", 2)
    backend.cancel("cancelled")
    until_phase(backend, "cancelled", "cancelled")


def test_cancel_takes_a_suspended_job_out_of_its_queue(backend, cluster, namespace):
    backend.submit(spec(namespace, "waits"))
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/waits"
    cluster.patch(path, {"spec": {"suspend": True}})  # as Kueue does
    until_phase(backend, "waits", "queued")
    backend.cancel("waits")
    with pytest.raises(RunError, match="no job 'waits'"):
        backend.status("waits")


def test_a_full_quota_is_explained(backend, cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    head = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one-pod"}}
    cluster.post(path, {**head, "spec": {"hard": {"pods": "1"}}})
    try:
        until(lambda: cluster.get(f"{path}/one-pod").get("status", {}).get("hard"), "no quota")
        backend.submit(spec(namespace, "crowded", workers=2))
        until(lambda: "exceeded quota" in backend.status("crowded").detail, "no quota in detail")
        assert "pod can be made: Error creating" in backend.status("crowded").detail
    finally:
        cluster.delete(f"{path}/one-pod")
        backend.delete("crowded")


def test_no_node_is_explained(backend, namespace):
    backend.submit(spec(namespace, "nowhere"))
    until(lambda: "worker 0 finds no node" in backend.status("nowhere").detail, "no message")
    backend.delete("nowhere")


def test_the_kubelets_variables_reach_the_pod_in_order(backend, namespace, kubelet):
    backend.submit(spec(namespace, "described", workers=2))
    pods = kubelet.wait("described", 2)
    for pod in pods:
        names = [variable["name"] for variable in pod["spec"]["containers"][0]["env"]]
        assert names.count("JOB_COMPLETION_INDEX") == 1
        assert names.index("JOB_COMPLETION_INDEX") < names.index("TF_CONFIG")
    hosts = sorted(pod["spec"]["hostname"] for pod in pods)
    assert hosts == ["described-0", "described-1"]
    backend.delete("described")


def test_deleting_the_job_removes_what_it_owns(backend, cluster, namespace):
    backend.submit(spec(namespace, "owner", workers=2))
    path = f"/api/v1/namespaces/{namespace}/services"
    assert "owner" in [one["metadata"]["name"] for one in cluster.items(path)]
    backend.delete("owner")
    until(
        lambda: "owner" not in [one["metadata"]["name"] for one in cluster.items(path)],
        "the Service outlives its Job",
    )
