"""Is this cluster ready: version, definitions, queues, permissions, accelerators, pull secrets."""

from common.exit_codes import RunError
from launch.backend import Check
from launch.kubernetes.cluster import Cluster
from launch.render import permissions
from launch.spec.documents import Document, mapping
from launch.spec.labels import RESOURCES

_MIN_MINOR = 33
_DEFINITIONS = {
    "jobset.x-k8s.io": "needed for --jobset and multi-host TPU slices",
    "trainer.kubeflow.org": "needed for --trainjob",
    "kueue.x-k8s.io": "needed for --queue",
}


def examine(cluster: Cluster, namespace: str) -> list[Check]:
    """All checks; the later ones are left out where the server does not answer."""
    try:
        version = cluster.get("/version")
    except RunError as error:
        return [Check("cluster", False, error.reason)]
    groups = {group["name"] for group in cluster.get("/apis").get("groups", [])}
    return [
        _check_version(version),
        *(_check_definition(name, groups) for name in _DEFINITIONS),
        _check_permissions(cluster, namespace, groups),
        *_check_queues(cluster, namespace, groups),
        _check_nodes(cluster),
        *_check_account(cluster, namespace),
    ]


def _check_version(version: Document) -> Check:
    minor = int("".join(filter(str.isdigit, str(version.get("minor", "0")))) or 0)
    found = str(version.get("gitVersion", "unknown"))
    return Check("version", minor >= _MIN_MINOR, f"{found}; 1.{_MIN_MINOR} or newer is supported")


def _check_definition(name: str, groups: set[str]) -> Check:
    state = "installed" if name in groups else "not installed"
    return Check(name, True, f"{state}; {_DEFINITIONS[name]}")


def _check_permissions(cluster: Cluster, namespace: str, groups: set[str]) -> Check:
    denied = []
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for review in permissions.reviews(namespace):
        asked = review["spec"]["resourceAttributes"]
        group = asked["group"].removeprefix("visibility.")
        if group in _DEFINITIONS and group not in groups:
            continue
        answer = cluster.post(path, review)
        if not mapping(answer, "status").get("allowed"):
            denied.append(f"{asked['verb']} {asked['resource']}/{asked['subresource']}".rstrip("/"))
    detail = f"missing: {', '.join(denied)}" if denied else "all that submitting needs"
    return Check("permissions", not denied, detail)


def _check_queues(cluster: Cluster, namespace: str, groups: set[str]) -> list[Check]:
    if "kueue.x-k8s.io" not in groups:
        return []
    try:
        path = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/localqueues"
        names = [queue["metadata"]["name"] for queue in cluster.items(path)]
    except RunError as error:
        return [Check("queues", False, error.reason)]
    return [Check("queues", bool(names), ", ".join(names) or f"none in {namespace}")]


def _check_nodes(cluster: Cluster) -> Check:
    try:
        nodes = cluster.items("/api/v1/nodes")
    except RunError:
        return Check("accelerators", True, "unknown: listing nodes is not allowed")
    totals = {
        kind: sum(int(mapping(node, "status", "allocatable").get(resource, 0)) for node in nodes)
        for kind, resource in RESOURCES.items()
    }
    return Check(
        "accelerators", True, ", ".join(f"{count} {kind}" for kind, count in totals.items())
    )


def _check_account(cluster: Cluster, namespace: str) -> list[Check]:
    try:
        account = cluster.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/trainer")
    except RunError as error:
        return [Check("service account", False, f"trainer: {error.reason}")]
    return [Check("service account", True, "trainer"), _check_pulls(account)]


def _check_pulls(account: Document) -> Check:
    """What the account says about pulling images; a submitter may not read Secrets."""
    names = [secret["name"] for secret in account.get("imagePullSecrets", [])]
    if not names:
        known = "no pull secret is named; images must be public, or the nodes have access"
    else:
        known = f"with {', '.join(names)}; without reading Secrets it is unknown if they exist"
    return Check("image pulls", True, f"{known} (`describe` names a pod that cannot pull)")
