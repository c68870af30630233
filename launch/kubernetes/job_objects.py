"""What a cluster holds of our jobs: workloads, their pods, events, and what Kueue says of them."""

from urllib.parse import quote

from common.exit_codes import RunError
from launch.kubernetes.api_errors import NotFoundError
from launch.kubernetes.cluster import Cluster, of_kind
from launch.kubernetes.pod_state import created
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import INSTANCE, MANAGED_BY, OURS, QUEUE
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


def jobs_of(workload: Document) -> list[Document]:
    """The Jobs of a JobSet that has restarted or failed; a restart leaves nothing but events."""
    status = mapping(workload, "status")
    if not status.get("restarts") and not mappings(status, "conditions"):
        return []
    name = workload["metadata"]["name"]
    groups = mappings(workload, "spec", "replicatedJobs")
    return [{"metadata": {"name": f"{name}-{group['name']}-0"}} for group in groups]


def explain_queue(cluster: Cluster, workload: Document) -> str:
    """Why the job waits, or that Kueue does not answer; "" where it does not wait in a queue."""
    metadata = workload["metadata"]
    namespace, queue = metadata["namespace"], mapping(metadata, "labels").get(QUEUE)
    if not queue or not workload["spec"].get("suspend"):
        return ""
    try:
        path = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/workloads"
        owned = [one for one in cluster.items(path) if _is_owned(one, metadata["uid"])]
    except RunError:
        return f"waits in queue {queue}; Kueue does not answer"
    said = [
        f"{condition['type']} {condition['status']}: {condition.get('message', '')}"
        for one in owned
        for condition in mappings(one, "status", "conditions")
    ]
    place = _position(cluster, namespace, queue, {one["metadata"]["name"] for one in owned})
    return "; ".join([f"waits in queue {queue}{place}", *said])


def _is_owned(workload: Document, uid: str) -> bool:
    return any(
        owner.get("uid") == uid for owner in mappings(workload, "metadata", "ownerReferences")
    )


def _position(cluster: Cluster, namespace: str, queue: str, names: set[str]) -> str:
    path = (
        f"/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/{namespace}"
        f"/localqueues/{queue}/pendingworkloads"
    )
    try:
        pending = cluster.items(path)
    except RunError:
        return ""  # the visibility API is optional
    places = [one["positionInLocalQueue"] for one in pending if one["metadata"]["name"] in names]
    return f" at position {places[0] + 1} of {len(pending)}" if places else ""
