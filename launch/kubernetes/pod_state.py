"""What one pod of a job says of itself: which worker, running, stuck or failed, and why."""

from launch.kubernetes import reasons
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import CONTAINER, GROUP, INDEX


def phase(pod: Document) -> str:
    """The phase, for example Pending, or ""."""
    return str(mapping(pod, "status").get("phase", ""))


def worker_index(pod: Document) -> str | None:
    """The pod's completion index, or None where it has none."""
    return (mapping(pod, "metadata", "labels") | mapping(pod, "metadata", "annotations")).get(INDEX)


def worker_name(pod: Document) -> str:
    """`worker 3`, or the pod's name where it has no index."""
    if (index := worker_index(pod)) is None:
        return str(mapping(pod, "metadata").get("name"))
    return f"{mapping(pod, 'metadata', 'labels').get(GROUP, 'worker')} {index}"


def trainer_state(pod: Document) -> Document:
    """The state of the trainer's container: one of running, waiting, terminated; or empty."""
    for status in mappings(pod, "status", "containerStatuses"):
        if status.get("name") == CONTAINER:
            return mapping(status, "state")
    return {}


def exit_code(pod: Document) -> int | None:
    """The exit code of the trainer's container, or None where it has none."""
    return mapping(trainer_state(pod), "terminated").get("exitCode")


def failed_before(pod: Document) -> str:
    """Which container failed before the trainer's could start, and how; or ""."""
    if (found := _failed_init(pod)) is None:
        return ""
    ended = found["state"]["terminated"]
    how = f"{ended.get('reason', 'Error')}, exit code {ended['exitCode']}"
    return f"{found['name']} failed before the trainer started: {how}"


def has_started(pod: Document) -> bool:
    """Whether the trainer's container runs or has run, so that there is a log."""
    return bool({"running", "terminated"} & set(trainer_state(pod)))


def waits_silently(pod: Document) -> bool:
    """Whether a pod does not start and its status does not say why: its events may."""
    return phase(pod) == "Pending" and not stuck(pod)


def stuck(pod: Document) -> str:
    """Why a pod does not start, or ""."""
    if phase(pod) != "Pending":
        return ""
    for condition in mappings(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{worker_name(pod)} finds no node: {condition.get('message', '')}"
    if (waiting := waiting_for(pod)) is None:
        return ""
    text = f"{waiting[0]}: {waiting[1]}".strip(": ")
    return f"{worker_name(pod)}: {text} ({reasons.explain(*waiting)[1]})"


def waiting_for(pod: Document) -> tuple[str, str] | None:
    """Reason and message of a container that cannot start; None where none says so."""
    if phase(pod) != "Pending":
        return None
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in mappings(pod, "status", field):
            waiting = mapping(container, "state", "waiting")
            if reasons.is_known(reason := str(waiting.get("reason", ""))):
                return reason, str(waiting.get("message", ""))
    return None


def lost_node(pod: Document) -> str:
    """Which node does not answer for a pod that should run, and since when; or "".

    A container that was never asked if it is ready is ready as long as its node says so: a pod
    whose node is silent stays Running, and only this condition turns.
    """
    if phase(pod) != "Running" or "running" not in trainer_state(pod):
        return ""
    for condition in mappings(pod, "status", "conditions"):
        if condition.get("type") == "Ready" and condition.get("status") != "True":
            node = mapping(pod, "spec").get("nodeName", "unknown")
            return f"node {node} not ready since {condition.get('lastTransitionTime', 'unknown')}"
    return ""


def termination(pod: Document) -> Document:
    """How the trainer's container ended, or the one that failed before it; empty if neither."""
    failed = _failed_init(pod)
    return mapping(failed["state"] if failed else trainer_state(pod), "terminated")


def created(document: Document) -> str:
    """When an object was made: its own time, for lists of the server come in any order."""
    return str(mapping(document, "metadata").get("creationTimestamp", ""))


def _failed_init(pod: Document) -> Document | None:
    if has_started(pod):
        return None
    for status in mappings(pod, "status", "initContainerStatuses"):
        if mapping(status, "state", "terminated").get("exitCode"):
            return status
    return None


def last_seen(event: Document) -> str:
    """When an event came, or came again."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or created(event))
