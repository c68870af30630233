"""Which failure explains a job, from the pods of its last attempt and from events."""

import re
from collections.abc import Collection, Sequence

from launch.kubernetes import pod_state, reasons
from launch.kubernetes.pod_state import created, worker_name
from launch.spec import outcome
from launch.spec.causes import Cause, Failure, failure_of_exit
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import CONTAINER, DISRUPTION

# How the Job controller names the pod that ended a Job, in its condition and its events.
_EXIT = re.compile(r"pod [^/\s]+/(?P<pod>\S+) failed with exit code (?P<code>\d+)")
_DISRUPTED = re.compile(rf"[Pp]od [^/\s]+/(?P<pod>\S+) has condition {DISRUPTION}")
# The pod of a JobSet: JOBSET-GROUP-REPLICA-INDEX-RANDOM.
_PLACE = re.compile(r"-(?P<group>[a-z]+)-\d+-(?P<index>\d+)-[a-z0-9]{5}$")
_ENDS = ("PodFailurePolicy", "BackoffLimitExceeded", "DeadlineExceeded")
# What may fail before the trainer starts, by the name of its container.
_BEFORE = {
    "fetch-code": (
        Cause.STORAGE,
        "read its last lines; it reads the workdir's bucket (--workload_identity)",
    ),
    "install-packages": (
        Cause.IMAGE,
        "read its last lines; the index must be in reach (--egress, --env=PIP_INDEX_URL=...), and "
        "the hashes must be those of its files",
    ),
}
_ENDLESS = "9999"  # after every time of day


def of_pods(
    pods: Sequence[Document], is_sweep: bool, workers: Collection[str] = ()
) -> list[list[Failure]]:
    """The failures of each attempt, the oldest first, each in the order in which they came.

    Args:
        pods: of a Job, or of one attempt of a JobSet; those of trials that have succeeded left out.
        is_sweep: whether each pod is a trial for itself: then all their last ends are one attempt.
        workers: names of all workers, of which some may have no pod any more.
    """
    ends = _ends(pods)
    failed = sorted((p for p in pods if pod_state.phase(p) == "Failed"), key=lambda p: ends[_id(p)])
    if is_sweep:
        newest = {worker_name(pod): pod for pod in sorted(failed, key=created)}
        groups = [[pod for pod in failed if newest[worker_name(pod)] is pod]]
    else:
        groups = _attempts(failed, ends)
    found = [[failure(pod, _attempt(pod, failed)) for pod in group] for group in groups]
    if found and found[-1]:
        # A peer that cannot start is why the others gave up, though it has not ended.
        until = ends[_id(groups[-1][-1])]
        found[-1] += [
            blocked
            for pod in pods
            if pod_state.phase(pod) != "Failed" and created(pod) <= until
            if (blocked := _blocked(pod, _attempt(pod, failed)))
        ]
        if all(one.cause in (Cause.PEER, Cause.HANG) for one in found[-1]):
            found[-1] += [_early(pod) for pod in pods if pod_state.phase(pod) == "Succeeded"]
            there = set(map(worker_name, pods))
            found[-1] += [_deleted(worker) for worker in workers if worker not in there]
    return found


def of_events(events: Sequence[Document], pods: Sequence[Document]) -> list[list[Failure]]:
    """The failures of attempts whose Jobs and pods are gone: a JobSet deletes them on a restart.

    Args:
        events: about the Jobs of a JobSet, the oldest first.
        pods: those that are still there, which tell more themselves.
    """
    until = min(map(created, pods), default=_ENDLESS)
    ends = [e for e in events if e.get("reason") in _ENDS and pod_state.last_seen(e) < until]
    return [[_of_message(event, attempt)[1]] for attempt, event in enumerate(ends)]


def of_condition(condition: Document) -> list[list[Failure]]:
    """What a Job's own word of its end tells of a pod, where all its pods are gone."""
    name, failed = _of_message(condition, 0)
    return [[failed]] if name else []


def failure(pod: Document, attempt: int) -> Failure:
    """The end of one pod: of all that is said of it, the gravest."""
    ended = pod_state.termination(pod)
    code = pod_state.exit_code(pod)
    lines = tuple(str(ended.get("message", "")).splitlines()[-5:])

    def told(cause: Cause, reason: str, advice: str) -> Failure:
        return Failure(worker_name(pod), attempt, code, reason, advice, lines, cause)

    found = [told(*one) for one in (*_said_by_cluster(pod), *_said_of_container(pod, ended))]
    is_named = reasons.is_known(str(ended.get("reason"))) and pod_state.has_started(pod)
    if code is not None and not is_named:
        found.append(failure_of_exit(worker_name(pod), attempt, code, lines))
    if not found:
        found = [told(Cause.NODE, "failed: no container ended", "read the events of the pod")]
    return min(found, key=lambda one: one.cause.rank)


def _said_by_cluster(pod: Document) -> list[tuple[Cause, str, str]]:
    """What the pod's own status says, and the condition of a pod that was taken away."""
    status = mapping(pod, "status")
    said = [(str(status.get("reason", "")), str(status.get("message", "")))]
    said += [
        (str(condition.get("reason", "")), str(condition.get("message", "")))
        for condition in mappings(status, "conditions")
        if condition.get("type") == DISRUPTION and condition.get("status") == "True"
    ]
    found = []
    for reason, message in said:
        if reason:
            cause, advice = reasons.explain(reason, message)
            found.append((cause, f"taken away by the cluster, {reason}: {message}", advice))
    return found


def _said_of_container(pod: Document, ended: Document) -> list[tuple[Cause, str, str]]:
    """What the cluster says of the container that ended, or of one before it."""
    reason = str(ended.get("reason", ""))
    if before := pod_state.failed_before(pod):
        name = before.partition(" ")[0]
        cause, advice = _BEFORE.get(name, (Cause.STORAGE, "read its last lines"))
        return [(Cause.MEMORY if reason == "OOMKilled" else cause, before, advice)]
    if not reasons.is_known(reason):
        return []
    message = " ".join(str(ended.get("message", "")).split())
    cause, advice = reasons.explain(reason, message)
    if cause is Cause.MEMORY:
        limit = _memory_limit(pod)
        return [(cause, f"OOMKilled: used more than its memory limit of {limit}", advice)]
    return [(cause, f"{reason}: {message}".strip(": "), advice)]


def _blocked(pod: Document, attempt: int) -> Failure | None:
    """Why a pod that has not ended keeps its peers waiting."""
    if waiting := pod_state.waiting_for(pod):
        reason, message = waiting
        cause, advice = reasons.explain(reason, message)
        text = f"{reason}: {message}".strip(": ")
    elif text := pod_state.lost_node(pod):
        cause, advice = reasons.explain("NodeNotReady", "")
    else:
        return None
    return Failure(worker_name(pod), attempt, None, text, advice, (), cause)


def _early(pod: Document) -> Failure:
    """Who ended with 0 and left its peers waiting: a run ends on all workers together."""
    return Failure(worker_name(pod), 0, 0, outcome.EARLY, outcome.ADVICE, (), Cause.CODE)


def _deleted(worker: str) -> Failure:
    """Who left no pod behind, while its peers say that they have lost one."""
    advice = "`kubectl get events` may still tell by whom; submit again: the run resumes"
    return Failure(worker, 0, None, "its pod was deleted", advice, (), Cause.KILLED)


def _attempts(failed: Sequence[Document], ends: dict[str, str]) -> list[list[Document]]:
    """Pods that failed, as attempts: who ended while the last of them was there belongs to it."""
    groups: list[list[Document]] = []
    rest = list(failed)
    while rest:
        begun = created(rest[-1])
        inside = [ends[_id(pod)] > begun or created(pod) >= begun for pod in rest]
        groups.append([pod for pod, is_inside in zip(rest, inside, strict=True) if is_inside])
        rest = [pod for pod, is_inside in zip(rest, inside, strict=True) if not is_inside]
    return groups[::-1]


def _ends(pods: Sequence[Document]) -> dict[str, str]:
    """When each pod ended. An evicted one does not say; its successor came after its end."""
    found: dict[str, str] = {}
    followed: dict[str, str] = {}
    for pod in sorted(pods, key=created, reverse=True):
        said = str(pod_state.termination(pod).get("finishedAt", _ENDLESS))
        found[_id(pod)] = min(said, followed.get(worker_name(pod), _ENDLESS))
        followed[worker_name(pod)] = created(pod)
    return found


def _id(pod: Document) -> str:
    return str(mapping(pod, "metadata").get("name"))


def _attempt(pod: Document, failed: Sequence[Document]) -> int:
    name, moment = worker_name(pod), created(pod)
    return sum(worker_name(other) == name and created(other) < moment for other in failed)


def _of_message(said: Document, attempt: int) -> tuple[str, Failure]:
    """The pod that a controller's message names, or "", and how the Job ended by it."""
    message = " ".join(str(said.get("message", "")).split())
    ended = _EXIT.search(message) or _DISRUPTED.search(message)
    if ended is None:
        job = str(mapping(said, "involvedObject").get("name", "the job"))
        advice = "`launch logs` of a run that still goes shows more"
        return "", Failure(job, attempt, None, message, advice, (), Cause.UNKNOWN)
    place = _PLACE.search(ended["pod"])
    worker = f"{place['group']} {place['index']}" if place else ended["pod"]
    if ended.re is _EXIT:
        return ended["pod"], failure_of_exit(worker, attempt, int(ended["code"]))
    cause, advice = reasons.explain("Evicted", "")
    return ended["pod"], Failure(
        worker, attempt, None, "taken away by the cluster", advice, (), cause
    )


def _memory_limit(pod: Document) -> str:
    for container in mappings(pod, "spec", "containers"):
        if container.get("name") == CONTAINER:
            return str(mapping(container, "resources", "limits").get("memory", "none"))
    return "unknown"
