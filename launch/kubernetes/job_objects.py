"""What a cluster holds of our jobs: workloads, their pods, and the events about them."""

from urllib.parse import quote

from launch.kubernetes.api_errors import NotFoundError
from launch.kubernetes.cluster import Cluster, of_kind
from launch.kubernetes.pod_state import created
from launch.spec.documents import Document, mapping
from launch.spec.labels import INSTANCE, MANAGED_BY, OURS
from launch.spec.user_input import bad_flag

_MINE = f"{MANAGED_BY}={OURS}"
_KINDS = (("batch/v1", "Job"), ("jobset.x-k8s.io/v1alpha2", "JobSet"))


class JobObjects:
    """The objects of one namespace.

    Args:
        cluster: the API server.
        namespace: where they are looked for.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def workload(self, name: str) -> Document:
        """The Job or JobSet of this name.

        Raises:
            RunError: there is none, or somebody else made it; BAD_FLAG.
        """
        for version, kind in _KINDS:
            path = f"{of_kind(version, kind, self._namespace)}/{quote(name, safe='')}"
            try:
                found = self._cluster.get(path)
            except NotFoundError:
                continue
            if mapping(found, "metadata", "labels").get(MANAGED_BY) == OURS:
                return found
            raise bad_flag(
                f"the {kind} {name!r} was not made by this launcher (label {MANAGED_BY})"
            )
        raise bad_flag(
            f"there is no job {name!r} in namespace {self._namespace} (--namespace; "
            "`launch list --backend=kubernetes` shows all)"
        )

    def pods(self, name: str) -> list[Document]:
        """Every pod of a job, of every attempt, the oldest first."""
        return sorted(self._pods(f"{INSTANCE}={name}"), key=created)

    def all_jobs(self) -> list[tuple[Document, list[Document]]]:
        """Every workload with its pods."""
        pods = self._pods(_MINE)
        return [
            (workload, [pod for pod in pods if _job_of(pod) == workload["metadata"]["name"]])
            for version, kind in _KINDS
            for workload in self._workloads(version, kind)
        ]

    def events(self, document: Document) -> list[Document]:
        """The events about a workload or a pod."""
        path = f"/api/v1/namespaces/{self._namespace}/events"
        selector = f"involvedObject.name={document['metadata']['name']}"
        return self._cluster.items(path, fieldSelector=selector)

    def _pods(self, selector: str) -> list[Document]:
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        return self._cluster.items(path, labelSelector=selector)

    def _workloads(self, version: str, kind: str) -> list[Document]:
        path = of_kind(version, kind, self._namespace)
        try:
            found = self._cluster.items(path, labelSelector=_MINE)
        except NotFoundError:
            return []  # JobSet is not installed
        # Lists leave out what their members have in common.
        return [{**item, "apiVersion": version, "kind": kind} for item in found]


def _job_of(pod: Document) -> str | None:
    return mapping(pod, "metadata", "labels").get(INSTANCE)
