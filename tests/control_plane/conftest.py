"""The cluster suite: runs against any cluster, and says loudly when it was not run.

    KUBECONFIG=... LOCKSTEP_CLUSTER_TESTS=1 python -m pytest tests/control_plane

Both variables are asked for, so that `make test` never touches a cluster by accident. The suite
makes one namespace of its own and removes it.
"""

import os
import secrets
from collections.abc import Iterator

import pytest
from kubernetes import config

from launch.kubernetes.backend import KubernetesBackend
from launch.kubernetes.cluster import Cluster, connect
from launch.render import permissions
from launch.spec import documents

_WANTED = bool(os.environ.get("KUBECONFIG") and os.environ.get("LOCKSTEP_CLUSTER_TESTS"))
_HOW = "set KUBECONFIG and LOCKSTEP_CLUSTER_TESTS=1 to run it"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/control_plane" in item.path.as_posix() and not _WANTED:
            item.add_marker(pytest.mark.skip(reason=f"no cluster: {_HOW}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _WANTED:
        terminalreporter.section("CLUSTER SUITE NOT RUN", sep="!", red=True)
        terminalreporter.line(f"Nothing was tested against a real Kubernetes: {_HOW}.")


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
