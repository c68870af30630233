"""What one pod of a job says of itself: which worker, running, stuck or failed, and why."""

from collections.abc import Sequence

from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import CONTAINER, DISRUPTION, GROUP, INDEX
from launch.spec.status import Ended, Failure, failure_of_exit, first_ended

_IMAGE = "check --image and the pull secrets of the service account"
_STUCK = {
    "ErrImagePull": _IMAGE,
    "ImagePullBackOff": _IMAGE,
    "InvalidImageName": "correct --image",
    "CreateContainerConfigError": "check that the Secret and key of --secret_env exist",
    "CreateContainerError": "check the image's command",
}


def first_failure(pods: Sequence[Document]) -> Failure | None:
    """The pod that failed first in the newest attempt that had a failure."""
    failed = sorted((pod for pod in pods if phase(pod) == "Failed"), key=_end)
    ended = [Ended(_attempt(pod, failed), exit_code(pod), pod) for pod in failed]
    first = first_ended(ended)
    return _failure(first.source, first.attempt) if first else None


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
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in mappings(pod, "status", field):
            waiting = mapping(container, "state", "waiting")
            if (reason := str(waiting.get("reason", ""))) in _STUCK:
                text = f"{reason}: {waiting.get('message', '')}".strip(": ")
                return f"{worker_name(pod)}: {text} ({_STUCK[reason]})"
    return ""


def created(document: Document) -> str:
    """When an object was made: its own time, for lists of the server come in any order."""
    return str(mapping(document, "metadata").get("creationTimestamp", ""))


def _failure(pod: Document, attempt: int) -> Failure:
    """The failure of a pod: by the cluster's own account where there is one, else by exit code."""
    ended, code = _termination(pod), exit_code(pod)
    lines = tuple(str(ended.get("message", "")).splitlines()[-5:])
    if ended.get("reason") == "OOMKilled" and has_started(pod):
        reason = f"OOMKilled: used more than its memory limit of {_memory_limit(pod)}"
        advice = "raise --memory_gib, or use more workers or a smaller global_batch_size"
    elif disruption := _disruption(pod):
        reason = f"taken away by the cluster, {disruption}"
        advice = "nothing to do: it is restarted and not counted"
    elif reason := failed_before(pod):
        advice = "read its last lines; fetch-code reads the workdir's bucket (--workload_identity)"
    elif code is None:
        status = mapping(pod, "status")
        reason = f"{status.get('reason', 'failed')}: {status.get('message', 'no container ended')}"
        advice = "read the events of the pod"
    else:
        return failure_of_exit(worker_name(pod), attempt, code, lines)
    return Failure(worker_name(pod), attempt, code, reason, advice, lines)


def _disruption(pod: Document) -> str:
    """Why the cluster took a pod away, or ""."""
    for condition in mappings(pod, "status", "conditions"):
        if condition.get("type") == DISRUPTION and condition.get("status") == "True":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def _termination(pod: Document) -> Document:
    """How the trainer's container ended, or the one that failed before it; empty if neither."""
    failed = _failed_init(pod)
    return mapping(failed["state"] if failed else trainer_state(pod), "terminated")


def _failed_init(pod: Document) -> Document | None:
    if has_started(pod):
        return None
    for status in mappings(pod, "status", "initContainerStatuses"):
        if mapping(status, "state", "terminated").get("exitCode"):
            return status
    return None


def _end(pod: Document) -> str:
    return str(_termination(pod).get("finishedAt", "9999"))  # an evicted pod has no end


def _attempt(pod: Document, failed: Sequence[Document]) -> int:
    name, moment = worker_name(pod), created(pod)
    return sum(worker_name(other) == name and created(other) < moment for other in failed)


def _memory_limit(pod: Document) -> str:
    for container in mappings(pod, "spec", "containers"):
        if container.get("name") == CONTAINER:
            return str(mapping(container, "resources", "limits").get("memory", "none"))
    return "unknown"
