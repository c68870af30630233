"""What a submitter may do in the namespace: the allow-list of RBAC and of `launch doctor`."""

import dataclasses

from launch.spec.documents import Document


@dataclasses.dataclass(frozen=True)
class Permission:
    """One rule: these verbs on this resource, nothing else."""

    group: str
    resource: str
    verbs: tuple[str, ...]


_OWNED = ("create", "get", "list", "patch", "delete")
ALLOWED = (
    Permission("batch", "jobs", _OWNED),
    Permission("jobset.x-k8s.io", "jobsets", _OWNED),
    Permission("trainer.kubeflow.org", "trainjobs", _OWNED),
    Permission("trainer.kubeflow.org", "trainingruntimes", ("create", "patch", "delete")),
    Permission("", "services", _OWNED),
    Permission("", "configmaps", _OWNED),
    Permission("networking.k8s.io", "networkpolicies", _OWNED),
    Permission("", "pods", ("get", "list")),
    Permission("", "pods/log", ("get",)),
    Permission("", "events", ("list",)),
    Permission("", "serviceaccounts", ("get",)),
    Permission("kueue.x-k8s.io", "localqueues", ("get", "list")),
    Permission("kueue.x-k8s.io", "workloads", ("get", "list")),
    Permission("visibility.kueue.x-k8s.io", "localqueues/pendingworkloads", ("get",)),
)


def role(name: str, namespace: str) -> Document:
    """The Role that grants exactly the allow-list."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [
            {"apiGroups": [one.group], "resources": [one.resource], "verbs": list(one.verbs)}
            for one in ALLOWED
        ],
    }


def reviews(namespace: str) -> list[Document]:
    """A SelfSubjectAccessReview for every permission and verb."""
    return [_review(one, verb, namespace) for one in ALLOWED for verb in one.verbs]


def _review(permission: Permission, verb: str, namespace: str) -> Document:
    resource, _, subresource = permission.resource.partition("/")
    attributes = {
        "namespace": namespace,
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
