"""What a real API server says: admission, PodSecurity, RBAC, definitions of JobSet and others."""

import dataclasses
from pathlib import Path

import pytest

from common.exit_codes import RunError
from launch.kubernetes.backend import KubernetesBackend
from launch.kubernetes.cluster import collection
from launch.render import manifest
from launch.render.examples import EXAMPLES
from launch.spec import documents
from tests.control_plane.conftest import needs
from tests.control_plane.daemons import until
from tests.control_plane.kubelet import spec

BASE = Path(__file__).parents[2] / "k8s" / "base"
CLUSTER_WIDE = {
    "Namespace": "/api/v1/namespaces",
    "ClusterQueue": "/apis/kueue.x-k8s.io/v1beta2/clusterqueues",
    "ResourceFlavor": "/apis/kueue.x-k8s.io/v1beta2/resourceflavors",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
}


def templates(rendered: list[documents.Document]) -> list[documents.Document]:
    """The pods of the Job, of the JobSet, or of the runtime that holds one."""
    *_, held, workload = rendered
    holder = held["spec"]["template"] if workload["kind"] == "TrainJob" else workload
    spec = holder["spec"]
    jobs = [one["template"]["spec"] for one in spec.get("replicatedJobs", [])] or [spec]
    return [job["template"] for job in jobs]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_server_accepts_every_example(backend, cluster, namespace, name):
    if manifest.render(EXAMPLES[name])[-1]["kind"] == "JobSet":
        needs(cluster, "jobset.x-k8s.io")
    if EXAMPLES[name].trainjob:
        needs(cluster, "trainer.kubeflow.org")
    accepted = backend.dry_run(dataclasses.replace(EXAMPLES[name], namespace=namespace))
    assert accepted
    assert all(line.endswith("accepted") for line in accepted if not line.startswith("TrainJob"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_podsecurity_restricted_has_nothing_to_say(cluster, namespace, name):
    found = dataclasses.replace(EXAMPLES[name], namespace=namespace)
    for pod in templates(manifest.render(found)):
        metadata = {**pod["metadata"], "name": name, "namespace": namespace}
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}
        cluster.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", whole)


@pytest.mark.parametrize("path", sorted(BASE.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_server_accepts_what_a_cluster_is_prepared_with(cluster, namespace, path):
    for document in documents.load(path.read_text()):
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


def test_a_trainjob_is_created_listed_and_deleted(submitter, cluster, namespace):
    needs(cluster, "trainer.kubeflow.org")
    backend = KubernetesBackend(submitter, namespace)
    backend.submit(spec(namespace, "kubeflow", workers=2, trainjob=True))
    assert "kubeflow" in [status.name for status in backend.statuses()]
    backend.cancel("kubeflow")
    with pytest.raises(RunError, match="no job 'kubeflow'"):
        backend.status("kubeflow")


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


def test_a_submitter_may_submit_and_nothing_else(submitter, namespace):
    backend = KubernetesBackend(submitter, namespace)
    backend.submit(spec(namespace, "mine"))
    assert backend.status("mine").name == "mine"
    backend.cancel("mine")
    backend.delete("mine")
    for path in ("secrets", "pods/x/exec", "roles"):
        root = "/apis/rbac.authorization.k8s.io/v1" if path == "roles" else "/api/v1"
        with pytest.raises(RunError, match="may not do that"):
            submitter.get(f"{root}/namespaces/{namespace}/{path}")


def test_a_policy_of_the_cluster_is_quoted(backend, cluster, namespace):
    group, name = "admissionregistration.k8s.io/v1", namespace
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    jobs = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"]}
    constraints = {**here, "resourceRules": [{**jobs, "resources": ["jobs"]}]}
    needed = {"expression": "object.metadata.name != 'unlabelled'", "message": "name your team"}
    kinds = {
        "ValidatingAdmissionPolicy": {"matchConstraints": constraints, "validations": [needed]},
        "ValidatingAdmissionPolicyBinding": {"policyName": name, "validationActions": ["Deny"]},
    }
    for kind, rule in kinds.items():
        head = {"apiVersion": group, "kind": kind, "metadata": {"name": name}}
        cluster.post(_plural(kind), {**head, "spec": rule})
    try:
        refused = until(lambda: _refusal(backend, namespace), "the policy is not in force")
        assert "a policy of the cluster refuses the job" in refused
        assert "name your team" in refused
    finally:
        for kind in kinds:
            cluster.delete(f"{_plural(kind)}/{name}")


def _plural(kind: str) -> str:
    plural = kind.lower() + "s" if kind.endswith("Binding") else kind.lower()[:-1] + "ies"
    return f"/apis/admissionregistration.k8s.io/v1/{plural}"


def _refusal(backend: KubernetesBackend, namespace: str) -> str:
    try:
        backend.dry_run(spec(namespace, "unlabelled"))
    except RunError as error:
        return error.reason
    return ""


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
