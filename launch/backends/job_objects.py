"""What a cluster holds of our jobs: workloads, their pods, and the events about them."""

from urllib.parse import quote

from common.exit_codes import ExitCode, RunError
from launch.backends.api_errors import NotFoundError
from launch.backends.cluster import Cluster, of_kind
from launch.documents import Document
from launch.pod_state import created

_OWNER = "app.kubernetes.io/managed-by"
_INSTANCE = "app.kubernetes.io/instance"
_MINE = f"{_OWNER}=lockstep"
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
            if _labels(found).get(_OWNER) == "lockstep":
                return found
            raise RunError(
                ExitCode.BAD_FLAG,
                f"the {kind} {name!r} was not made by this launcher; use kubectl (label {_OWNER})",
            )
        raise RunError(
            ExitCode.BAD_FLAG,
            f"there is no job {name!r} in namespace {self._namespace} (--namespace; "
            "`launch list --backend=kubernetes` shows all)",
        )

    def pods(self, name: str) -> list[Document]:
        """Every pod of a job, of every attempt, the oldest first."""
        return sorted(self._pods(f"{_INSTANCE}={name}"), key=created)

    def all_jobs(self) -> list[tuple[Document, list[Document]]]:
        """Every workload with its pods."""
        pods = self._pods(_MINE)
        return [
            (workload, [pod for pod in pods if _belongs(pod, workload)])
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


def _belongs(pod: Document, workload: Document) -> bool:
    return _labels(pod).get(_INSTANCE) == workload["metadata"]["name"]


def _labels(document: Document) -> dict[str, str]:
    return document["metadata"].get("labels") or {}
