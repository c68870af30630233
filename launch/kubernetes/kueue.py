"""What Kueue says about a job that waits: its conditions verbatim, and the place in the queue."""

from common.exit_codes import RunError
from launch.kubernetes.cluster import Cluster
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import QUEUE


def explain(cluster: Cluster, workload: Document) -> str:
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
