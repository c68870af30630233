"""What one pod of a job says of itself: which worker, running, stuck or failed, and why."""

from collections.abc import Sequence
from typing import Any

from common.exit_codes import ExitCode
from launch.documents import Document
from launch.lint.workload import mapping, sequence
from launch.pod import CONTAINER
from launch.policy import DISRUPTION, IGNORED_CODES
from launch.status import Failure, failure_of_exit

_INDEX = "batch.kubernetes.io/job-completion-index"
_STUCK = {
    "ErrImagePull": "check --image and the pull secrets of the service account",
    "ImagePullBackOff": "check --image and the pull secrets of the service account",
    "InvalidImageName": "correct --image",
    "CreateContainerConfigError": "check that the Secret and key of --secret_env exist",
    "CreateContainerError": "check the image's command",
}


def first_failure(pods: Sequence[Document]) -> Failure | None:
    """The pod that failed first in the newest attempt that had a failure."""
    failed = [pod for pod in pods if mapping(pod.get("status")).get("phase") == "Failed"]
    if not failed:
        return None
    graver = [pod for pod in failed if _exit_code(pod) not in IGNORED_CODES] or failed
    attempts = {id(pod): _attempt(pod, failed) for pod in graver}
    newest = max(attempts.values())
    first = min((pod for pod in graver if attempts[id(pod)] == newest), key=_rank)
    return _failure(first, newest)


def worker_index(pod: Document) -> str | None:
    """The pod's completion index, or None where it has none."""
    metadata = mapping(pod.get("metadata"))
    return {**mapping(metadata.get("labels")), **mapping(metadata.get("annotations"))}.get(_INDEX)


def worker_name(pod: Document) -> str:
    """`worker 3`, or the pod's name where it has no index."""
    metadata, index = mapping(pod.get("metadata")), worker_index(pod)
    group = mapping(metadata.get("labels")).get("jobset.sigs.k8s.io/replicatedjob-name", "worker")
    return f"{group} {index}" if index is not None else str(metadata.get("name"))


def trainer_state(pod: Document) -> dict[str, Any]:
    """The state of the trainer's container: one of running, waiting, terminated; or empty."""
    for status in sequence(mapping(pod.get("status")).get("containerStatuses")):
        if status.get("name") == CONTAINER:
            return mapping(status.get("state"))
    return {}


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
    return mapping(pod.get("status")).get("phase") == "Pending" and not stuck(pod)


def stuck(pod: Document) -> str:
    """Why a pod does not start, or ""."""
    status = mapping(pod.get("status"))
    if status.get("phase") != "Pending":
        return ""
    for condition in sequence(status.get("conditions")):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{worker_name(pod)} finds no node: {condition.get('message', '')}"
    for container in sequence(status.get("initContainerStatuses")) + sequence(
        status.get("containerStatuses")
    ):
        waiting = mapping(mapping(container.get("state")).get("waiting"))
        if (reason := str(waiting.get("reason", ""))) in _STUCK:
            text = f"{reason}: {waiting.get('message', '')}".strip(": ")
            return f"{worker_name(pod)}: {text} ({_STUCK[reason]})"
    return ""


def _failure(pod: Document, attempt: int) -> Failure:
    status = mapping(pod.get("status"))
    ended = _termination(pod)
    lines = tuple(str(ended.get("message", "")).splitlines()[-5:])
    name = worker_name(pod)
    code = _exit_code(pod)
    disruption = [
        condition
        for condition in sequence(status.get("conditions"))
        if condition.get("type") == DISRUPTION and condition.get("status") == "True"
    ]
    if ended.get("reason") == "OOMKilled" and has_started(pod):
        return Failure(
            name,
            attempt,
            code,
            f"OOMKilled: used more than its memory limit of {_memory_limit(pod)}",
            "raise --memory_gib, or use more workers or a smaller global_batch_size",
            lines,
        )
    if disruption:
        reason = f"{disruption[0].get('reason', '')}: {disruption[0].get('message', '')}"
        advice = "nothing to do: it is restarted and not counted"
        return Failure(name, attempt, code, f"taken away by the cluster, {reason}", advice, lines)
    if said := failed_before(pod):
        advice = "read its last lines; fetch-code reads the workdir's bucket (--workload_identity)"
        return Failure(name, attempt, None, said, advice, lines)
    if code is None:
        reason = f"{status.get('reason', 'failed')}: {status.get('message', 'no container ended')}"
        return Failure(name, attempt, None, reason, "read the events of the pod", lines)
    return failure_of_exit(name, attempt, code, lines)


def _exit_code(pod: Document) -> int | None:
    return mapping(trainer_state(pod).get("terminated")).get("exitCode")


def _termination(pod: Document) -> Document:
    """How the trainer's container ended, or the one that failed before it; empty if neither."""
    failed = _failed_init(pod)
    return mapping((failed["state"] if failed else trainer_state(pod)).get("terminated"))


def _failed_init(pod: Document) -> Document | None:
    if has_started(pod):
        return None
    for status in sequence(mapping(pod.get("status")).get("initContainerStatuses")):
        if mapping(mapping(status.get("state")).get("terminated")).get("exitCode"):
            return mapping(status)
    return None


def _ended(pod: Document) -> str:
    return str(_termination(pod).get("finishedAt", "9999"))


def _rank(pod: Document) -> tuple[bool, str]:
    """Who lost a peer was not the first: clocks count seconds, and an evicted pod has no end."""
    return _exit_code(pod) == ExitCode.PEER_LOST, _ended(pod)


def created(document: Document) -> str:
    """When an object was made: its own time, for lists of the server come in any order."""
    return str(mapping(document.get("metadata")).get("creationTimestamp", ""))


def _attempt(pod: Document, failed: Sequence[Document]) -> int:
    name, moment = worker_name(pod), created(pod)
    return sum(worker_name(other) == name and created(other) < moment for other in failed)


def _memory_limit(pod: Document) -> str:
    for container in sequence(mapping(pod.get("spec")).get("containers")):
        if container.get("name") == CONTAINER:
            limits = mapping(mapping(container.get("resources")).get("limits"))
            return str(limits.get("memory", "none"))
    return "unknown"
