"""Real admission, RBAC and Job controller; the kubelet is played by the tests.

No node is needed: the pods ask for a node label that nobody has, and the tests write the pods'
statuses as a kubelet would. So this file runs on a bare control plane too.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import documents, manifest
from launch.backends.cluster import Cluster, collection
from launch.backends.kubernetes import KubernetesBackend
from launch.examples import EXAMPLES
from launch.spec import JobSpec
from launch.status import JobStatus, describe
from trainer.exit_codes import RunError

BASE = Path(__file__).parents[2] / "k8s" / "base"
CLUSTER_WIDE = {
    "Namespace": "/api/v1/namespaces",
    "ClusterQueue": "/apis/kueue.x-k8s.io/v1beta2/clusterqueues",
    "ResourceFlavor": "/apis/kueue.x-k8s.io/v1beta2/resourceflavors",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
}


def spec(namespace: str, name: str, **fields: object) -> JobSpec:
    nowhere = (("lockstep/no-such-node", "true"),)
    base = JobSpec(
        name=name,
        namespace=namespace,
        args=("--config=digits", "--workdir=gs://BUCKET/x"),
        image="lockstep:0.1.0-cpu",
        node_selector=nowhere,
    )
    return dataclasses.replace(base, **fields)


def until(check: Callable[[], object], what: str, secs: float = 60) -> object:
    deadline = time.monotonic() + secs
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def until_phase(backend: KubernetesBackend, name: str, *phases: str) -> JobStatus:
    def ended() -> JobStatus | None:
        status = backend.status(name)
        return status if status.phase in phases else None

    return until(ended, f"{name} is {backend.status(name)}")


class Kubelet:
    """Writes what a kubelet would report."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def pods(self, job: str) -> list[dict]:
        selector = f"app.kubernetes.io/instance={job}"
        found = self._cluster.items(self._pods, labelSelector=selector)
        return [pod for pod in found if pod["status"].get("phase") == "Pending"]

    def wait(self, job: str, count: int) -> list[dict]:
        return until(
            lambda: found if len(found := self.pods(job)) == count else None,
            f"{job} has no {count} pending pods",
        )

    def end(self, pod: dict, code: int, message: str = "") -> None:
        terminated = {"exitCode": code, "message": message, "finishedAt": "2026-01-01T00:00:00Z"}
        terminated |= {"startedAt": "2026-01-01T00:00:00Z"}
        container = {
            "name": "trainer",
            "image": "x",
            "imageID": "x",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": terminated},
        }
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
        path = f"{self._pods}/{pod['metadata']['name']}/status"
        self._cluster.patch(path, {"status": status})


@pytest.fixture
def kubelet(cluster: Cluster, namespace: str) -> Kubelet:
    return Kubelet(cluster, namespace)


def needs(cluster: Cluster, group: str) -> None:
    if group not in {one["name"] for one in cluster.get("/apis")["groups"]}:
        pytest.skip(f"{group} is not installed in this cluster")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_server_accepts_every_example(backend, cluster, namespace, name):
    if manifest.render(EXAMPLES[name])[-1]["kind"] == "JobSet":
        needs(cluster, "jobset.x-k8s.io")
    accepted = backend.dry_run(dataclasses.replace(EXAMPLES[name], namespace=namespace))
    assert accepted
    assert all(line.endswith("accepted") for line in accepted)


def templates(workload: documents.Document) -> list[documents.Document]:
    spec = workload["spec"]
    jobs = [one["template"]["spec"] for one in spec.get("replicatedJobs", [])] or [spec]
    return [job["template"] for job in jobs]


@pytest.mark.parametrize("name", EXAMPLES)
def test_podsecurity_restricted_has_nothing_to_say(cluster, namespace, name):
    found = dataclasses.replace(EXAMPLES[name], namespace=namespace)
    for pod in templates(manifest.render(found)[-1]):
        metadata = {**pod["metadata"], "name": name, "namespace": namespace}
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
        cluster.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", whole)


@pytest.mark.parametrize("path", sorted(BASE.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_server_accepts_what_a_cluster_is_prepared_with(cluster, namespace, path):
    for document in documents.load(path.read_text()):
        if "metadata" not in document:
            continue  # the list of these files
        if "kueue" in document["apiVersion"]:
            needs(cluster, "kueue.x-k8s.io")
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
        where = CLUSTER_WIDE.get(document["kind"], "").format(namespace) or collection(document)
        document["metadata"]["name"] += f"-{namespace[-6:]}"  # the cluster may be prepared already
        cluster.post(f"{where}?dryRun=All&fieldValidation=Strict", document)


def test_a_jobset_is_created_listed_and_deleted(backend, cluster, namespace):
    needs(cluster, "jobset.x-k8s.io")
    backend.submit(spec(namespace, "gang", workers=2, jobset=True))
    assert "gang" in [status.name for status in backend.statuses()]
    backend.cancel("gang")
    with pytest.raises(RunError, match="no job 'gang'"):
        backend.status("gang")


def test_the_server_names_the_fault_of_a_jobset(cluster, namespace):
    needs(cluster, "jobset.x-k8s.io")
    [jobset] = [
        one
        for one in manifest.render(spec(namespace, "faulty", workers=2, jobset=True))
        if one["kind"] == "JobSet"
    ]
    jobset["spec"]["failurePolicy"]["restartStrategy"] = "Sometimes"
    with pytest.raises(RunError, match="Sometimes"):
        cluster.create(jobset, dry_run=True)


def test_podsecurity_refuses_the_opt_out_here(cluster, namespace):
    pod = manifest.render(spec(namespace, "rdma", privileged="rdma"))[-1]["spec"]["template"]
    metadata = {**pod["metadata"], "name": "rdma", "namespace": namespace}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
    with pytest.raises(RunError, match="PodSecurity refuses the pod"):
        cluster.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", whole)


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


def test_cancel_ends_the_job_and_leaves_it_for_describe(backend, namespace, kubelet):
    backend.submit(spec(namespace, "cancelled", workers=2))
    kubelet.wait("cancelled", 2)
    backend.cancel("cancelled")
    until_phase(backend, "cancelled", "cancelled")


def test_no_node_is_explained(backend, cluster, namespace, kubelet):
    if not cluster.items("/api/v1/nodes"):
        pytest.skip("a control plane without nodes has no scheduler")
    backend.submit(spec(namespace, "nowhere"))
    until(lambda: "finds no node" in backend.status("nowhere").detail, "no scheduler message")
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


def test_a_submitter_may_submit_and_nothing_else(submitter, namespace):
    backend = KubernetesBackend(submitter, namespace)
    backend.submit(spec(namespace, "mine"))
    assert backend.status("mine").name == "mine"
    backend.cancel("mine")
    backend.delete("mine")
    for path in ("secrets", "pods/x/exec", "roles"):
        root = "/apis/rbac.authorization.k8s.io/v1" if path == "roles" else "/api/v1"
        with pytest.raises(RunError, match="you may not do that"):
            submitter.get(f"{root}/namespaces/{namespace}/{path}")


def test_a_name_is_taken_once(backend, namespace):
    backend.submit(spec(namespace, "unique"))
    with pytest.raises(RunError, match="choose another --name"):
        backend.submit(spec(namespace, "unique"))
    backend.delete("unique")


def test_doctor_finds_its_way(backend):
    checks = {check.what: check for check in backend.doctor()}
    assert checks["version"].ok
    assert checks["permissions"].ok
    assert checks["service account"].ok
