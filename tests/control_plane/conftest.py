"""The cluster suite: runs against any cluster, and says loudly when it was not run.

    KUBECONFIG=... LOCKSTEP_CLUSTER_TESTS=1 python -m pytest tests/control_plane

Both variables are asked for, so that `make test` never touches a cluster by accident. The suite
makes one namespace of its own and removes it. What it does to a node, and folders that pods share
with it, needs the node of `make cluster-up NODE=1`, whose state folder is in LOCKSTEP_NODE.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import config

from launch.kubernetes.backend import KubernetesBackend
from launch.kubernetes.cluster import Cluster, connect
from launch.render import permissions
from launch.spec import documents
from tests.control_plane import node

_WANTED = bool(os.environ.get("KUBECONFIG") and os.environ.get("LOCKSTEP_CLUSTER_TESTS"))
_HOW = "set KUBECONFIG and LOCKSTEP_CLUSTER_TESTS=1 to run it"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_here = "tests/control_plane" in item.path.as_posix()
        if is_here and item.path.name != "test_start.py" and not _WANTED:
            item.add_marker(pytest.mark.skip(reason=f"no cluster: {_HOW}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _WANTED:
        terminalreporter.section("CLUSTER SUITE NOT RUN", sep="!", red=True)
        terminalreporter.line(f"Nothing was tested against a real Kubernetes: {_HOW}.")


def needs(cluster: Cluster, group: str) -> None:
    """Skips a test that needs kinds of an API group which this cluster does not have."""
    if group not in {one["name"] for one in cluster.get("/apis")["groups"]}:
        pytest.skip(f"{group} is not installed in this cluster")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = connect("")
    yield found
    found.close()


@pytest.fixture(scope="session")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that enforces PodSecurity restricted and has the trainer's service account."""
    name = f"lockstep-test-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    head = {"metadata": {"name": name, "labels": labels}}
    cluster.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", **head})
    for document in _account(name):
        cluster.create(document)
    for kind, document in _rights(name).items():
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/{kind}"
        cluster.post(path, document)
    yield name
    cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def backend(cluster: Cluster, namespace: str) -> KubernetesBackend:
    return KubernetesBackend(cluster, namespace, poll_secs=0.2)


@pytest.fixture
def ready_node(cluster: Cluster) -> None:
    """Skips a test that needs a node that is ready."""
    if not node.is_ready(cluster):
        pytest.skip("no node is ready")


@pytest.fixture(scope="session")
def node_state() -> Path:
    """The state folder of the node, which is on this machine."""
    if not (found := os.environ.get("LOCKSTEP_NODE")):
        pytest.skip("needs the node of `make cluster-up NODE=1`")
    return Path(found)


@pytest.fixture(scope="session")
def runs(
    cluster: Cluster, namespace: str, tmp_path_factory: pytest.TempPathFactory, node_state: Path
) -> Iterator[Path]:
    """A folder of this machine that pods mount by the claim `runs`.

    It is one for all tests: a claim stays as long as a pod that has ended names it.
    """
    folder = tmp_path_factory.mktemp("runs")
    folder.chmod(0o777)  # the pods have a user of their own
    shared = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": f"runs-{secrets.token_hex(3)}",
    }
    head = {"apiVersion": "v1", "metadata": {"name": shared.pop("volumeName")}}
    place = {**shared, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}}
    cluster.post("/api/v1/persistentvolumes", {**head, "kind": "PersistentVolume", "spec": place})
    wanted = {
        **shared,
        "volumeName": head["metadata"]["name"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "runs"}}
    cluster.post(claims, {**claim, "spec": wanted})
    yield folder
    cluster.delete(f"{claims}/runs")
    cluster.delete(f"/api/v1/persistentvolumes/{head['metadata']['name']}")


@pytest.fixture(params=[False, True], ids=["job", "jobset"])
def jobset(request: pytest.FixtureRequest, cluster: Cluster) -> bool:
    """Both forms of a workload."""
    if request.param:
        needs(cluster, "jobset.x-k8s.io")
    return request.param


@pytest.fixture
def queue(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A queue of Kueue with the processors of one node, where priority preempts."""
    needs(cluster, "kueue.x-k8s.io")
    name = f"lockstep-{secrets.token_hex(3)}"
    quota = {"cpu": "2", "memory": "64Gi", "ephemeral-storage": "64Gi"}
    nominal = [{"name": key, "nominalQuota": value} for key, value in quota.items()]
    group = {
        "coveredResources": list(quota),
        "flavors": [{"name": name, "resources": nominal}],
    }
    whole = {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [group],
    }
    head = {"apiVersion": "kueue.x-k8s.io/v1beta2", "metadata": {"name": name}}
    kueue = "/apis/kueue.x-k8s.io/v1beta2"
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    made = [
        (f"{kueue}/resourceflavors", {**head, "kind": "ResourceFlavor", "spec": {}}),
        (f"{kueue}/clusterqueues", {**head, "kind": "ClusterQueue", "spec": whole}),
        (
            f"{kueue}/namespaces/{namespace}/localqueues",
            {**head, "kind": "LocalQueue", "spec": {"clusterQueue": name}},
        ),
        *((classes, _priority(value, called)) for called, value in (("low", 1), ("high", 1000))),
    ]
    for path, document in made:
        cluster.post(path, document)
    yield name
    for path, document in reversed(made):
        cluster.delete(f"{path}/{document['metadata']['name']}")


def _priority(value: int, called: str) -> documents.Document:
    head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    # The scheduler is to leave it to Kueue.
    rest = {"value": value, "preemptionPolicy": "Never"}
    return {**head, "metadata": {"name": f"lockstep-{called}"}, **rest}


@pytest.fixture
def submitter(namespace: str) -> Iterator[Cluster]:
    """The cluster as somebody sees it who has the submitter's role and nothing else."""
    client = config.new_client_from_config(config_file=os.environ["KUBECONFIG"])
    client.set_default_header("Impersonate-User", "lockstep-submitter")
    found = Cluster(client)
    yield found
    found.close()


def _account(namespace: str) -> list[documents.Document]:
    metadata = {"name": "trainer", "namespace": namespace}
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}]


def _rights(namespace: str) -> dict[str, documents.Document]:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "submitter", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "submitter"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "lockstep-submitter"}],
    }
    return {"roles": permissions.role("submitter", namespace), "rolebindings": binding}
