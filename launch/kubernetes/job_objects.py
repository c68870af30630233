"""What a cluster holds of our jobs: workloads, their pods, events, and what Kueue says of them."""

from collections.abc import Sequence
from urllib.parse import quote

from common.exit_codes import RunError
from launch.kubernetes.api_errors import NotFoundError
from launch.kubernetes.cluster import Cluster, of_kind
from launch.kubernetes.pod_state import created
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import INSTANCE, MANAGED_BY, OURS, QUEUE
from launch.spec.user_input import bad_flag

_MINE = f"{MANAGED_BY}={OURS}"
_VERSIONS = {
    "Job": "batch/v1",
    "JobSet": "jobset.x-k8s.io/v1alpha2",
    "TrainJob": "trainer.kubeflow.org/v1alpha1",
}


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
        """The Job, JobSet or TrainJob of this name; a TrainJob with what its JobSet holds.

        Raises:
            RunError: there is none, or somebody else made it; BAD_FLAG.
        """
        for kind in _VERSIONS:
            found = self._find(kind, name)
            if found is None or _is_made_by_trainjob(found):
                continue
            if mapping(found, "metadata", "labels").get(MANAGED_BY) == OURS:
                jobset = self._find("JobSet", name) if kind == "TrainJob" else None
                return _with_jobset(found, [jobset] if jobset else [])
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
        jobs, jobsets, trainjobs = (self._workloads(kind) for kind in _VERSIONS)
        whole = [_with_jobset(one, jobsets) for one in trainjobs]
        own = [one for one in jobsets if not _is_made_by_trainjob(one)]
        return [
            (workload, [pod for pod in pods if _job_of(pod) == workload["metadata"]["name"]])
            for workload in (*jobs, *own, *whole)
        ]

    def events(self, document: Document) -> list[Document]:
        """The events about a workload or a pod."""
        path = f"/api/v1/namespaces/{self._namespace}/events"
        selector = f"involvedObject.name={document['metadata']['name']}"
        return self._cluster.items(path, fieldSelector=selector)

    def _pods(self, selector: str) -> list[Document]:
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        return self._cluster.items(path, labelSelector=selector)

    def _find(self, kind: str, name: str) -> Document | None:
        try:
            return self._cluster.get(f"{self._collection(kind)}/{quote(name, safe='')}")
        except NotFoundError:
            return None

    def _workloads(self, kind: str) -> list[Document]:
        try:
            found = self._cluster.items(self._collection(kind), labelSelector=_MINE)
        except NotFoundError:
            return []  # JobSet or Kubeflow Trainer is not installed
        # Lists leave out what their members have in common.
        return [{**item, "apiVersion": _VERSIONS[kind], "kind": kind} for item in found]

    def _collection(self, kind: str) -> str:
        return of_kind(_VERSIONS[kind], kind, self._namespace)


def _with_jobset(workload: Document, jobsets: Sequence[Document]) -> Document:
    """A TrainJob that says what its JobSet does: the pods, how often they restarted, the end.

    Who it is stays: it owns the JobSet, Kueue knows it, and only its deletion ends the job.
    """
    for jobset in jobsets:
        if _is_owned(jobset, workload["metadata"]["uid"]):
            return {**workload, "spec": jobset["spec"], "status": mapping(jobset, "status")}
    return workload


def _is_made_by_trainjob(workload: Document) -> bool:
    """Whether it is no job of its own; such a JobSet outlives its TrainJob for a moment."""
    owners = mappings(workload, "metadata", "ownerReferences")
    return any(owner.get("kind") == "TrainJob" for owner in owners)


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


def _is_owned(document: Document, uid: str) -> bool:
    return any(
        owner.get("uid") == uid for owner in mappings(document, "metadata", "ownerReferences")
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
