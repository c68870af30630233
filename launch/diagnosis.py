"""From the objects of a cluster to the state of a job: pure functions of what the server said."""

from collections import Counter
from collections.abc import Sequence

from launch.documents import Document
from launch.lint.workload import mapping, sequence
from launch.pod_state import (
    created,
    first_failure,
    stuck,
    waits_silently,
    worker_index,
    worker_name,
)
from launch.status import JobStatus, Phase
from launch.trial_results import indexes

CANCELLED = "lockstep/cancelled"
_FAILS = {"Failed", "FailureTarget"}
_DECIDED = _FAILS | {"Complete", "Completed", "SuccessCriteriaMet"}


def diagnose(
    workload: Document,
    pods: Sequence[Document],
    events: Sequence[Document] = (),
    queue: str = "",
) -> JobStatus:
    """The state of one job.

    Args:
        workload: the Job or JobSet.
        pods: all its pods, of every attempt.
        events: events about the workload and its pods, for what keeps them from starting.
        queue: what Kueue says about it, verbatim, or "".
    """
    phase, detail = _phase(workload, pods, events, queue)
    template = _job_template(workload)
    containers = sequence(mapping(mapping(template.get("template")).get("spec")).get("containers"))
    container = mapping(containers[0]) if containers else {}
    words = [*sequence(container.get("command")), *sequence(container.get("args"))]
    workdirs = [w.removeprefix("--workdir=") for w in words if str(w).startswith("--workdir=")]
    metadata = workload["metadata"]
    return JobStatus(
        name=metadata["name"],
        backend="kubernetes",
        phase=phase,
        detail=detail,
        created=str(metadata.get("creationTimestamp", "")),
        command=" ".join("..." if "\n" in word or len(word) > 200 else word for word in words),
        workdir=workdirs[-1] if workdirs else "",
        restarts=_restarts(workload),
        max_restarts=_max_restarts(workload),
        first_failure=first_failure(_unhealed(workload, pods)),
    )


def lacks_pods(workload: Document, pods: Sequence[Document]) -> bool:
    """Whether pods of a job that has not ended are still to be made: events may say why."""
    status = mapping(workload.get("status"))
    alive = sum(mapping(pod.get("status")).get("phase") != "Failed" for pod in pods)
    return "completionTime" not in status and alive < _wanted(workload)


def is_decided(workload: Document) -> bool:
    """Whether its end is settled, even where its pods still stop: nothing changes it any more."""
    return bool(_DECIDED & _conditions(workload).keys())


def _conditions(workload: Document) -> dict[str, Document]:
    """Type -> the conditions that hold."""
    return {
        condition["type"]: condition
        for condition in sequence(mapping(workload.get("status")).get("conditions"))
        if condition.get("status") == "True"
    }


def _phase(
    workload: Document, pods: Sequence[Document], events: Sequence[Document], queue: str
) -> tuple[Phase, str]:
    conditions = _conditions(workload)
    if ended := conditions.get("Complete") or conditions.get("Completed"):
        return "succeeded", str(ended.get("message", ""))
    if ended := conditions.get("Failed"):
        if CANCELLED in mapping(workload["metadata"].get("annotations")):
            return "cancelled", "cancelled by request"
        return "failed", _why(ended)
    if ending := conditions.get("FailureTarget"):  # set before the pods have stopped
        return "running", f"stopping: {_why(ending)}"
    if "Suspended" in conditions or mapping(workload.get("spec")).get("suspend"):
        return "queued", queue or "suspended"
    return _running(workload, pods, events)


def _why(condition: Document) -> str:
    return f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")


def _running(
    workload: Document, pods: Sequence[Document], events: Sequence[Document]
) -> tuple[Phase, str]:
    wanted = _wanted(workload)
    phases = Counter(mapping(pod.get("status")).get("phase") for pod in pods)
    running, done = phases["Running"], phases["Succeeded"]
    said = [f"{running} of {wanted} running{f', {done} done' if done else ''}"]
    said += [reason for pod in pods if (reason := stuck(pod))][:1]
    if (warning := _warning(events, workload, "FailedCreate")) and lacks_pods(workload, pods):
        said.append(f"{'not every' if pods else 'no'} pod can be made: {warning}")
    for pod in filter(waits_silently, pods):
        if warning := _warning(events, pod):
            said.append(f"{worker_name(pod)} waits: {warning}")
    started = running + done >= wanted or (running + done and len(said) == 1)
    return ("running" if started else "starting"), "; ".join(said)


def _warning(events: Sequence[Document], document: Document, reason: str = "") -> str:
    """The newest warning about one object, of one reason or of any, or ""."""
    name = document["metadata"]["name"]
    about = [one for one in events if mapping(one.get("involvedObject")).get("name") == name]
    about = [one for one in about if one.get("reason") == reason or not reason]
    warnings = sorted((one for one in about if one.get("type") == "Warning"), key=_last_seen)
    return " ".join(str(warnings[-1].get("message")).split()) if warnings else ""


def _last_seen(event: Document) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or created(event))


def _unhealed(workload: Document, pods: Sequence[Document]) -> Sequence[Document]:
    """The pods but for those of trials that succeeded after all: attempts count for each trial."""
    if "backoffLimitPerIndex" not in mapping(workload.get("spec")):
        return pods
    completed = str(mapping(workload.get("status")).get("completedIndexes", ""))
    healed = {str(index) for index in indexes(completed)}
    return [pod for pod in pods if worker_index(pod) not in healed]


def _job_template(workload: Document) -> Document:
    spec = mapping(workload.get("spec"))
    groups = sequence(spec.get("replicatedJobs"))
    return mapping(mapping(mapping(groups[-1]).get("template")).get("spec")) if groups else spec


def _wanted(workload: Document) -> int:
    spec = mapping(workload.get("spec"))
    if groups := sequence(spec.get("replicatedJobs")):
        return sum(int(group["template"]["spec"].get("parallelism", 1)) for group in groups)
    return int(spec.get("parallelism", 1))


def _restarts(workload: Document) -> int:
    status = mapping(workload.get("status"))
    if workload.get("kind") == "JobSet":
        return int(status.get("restartsCountTowardsMax", 0))
    if "backoffLimitPerIndex" in mapping(workload.get("spec")):
        return int(status.get("failed", 0)) - len(indexes(str(status.get("failedIndexes", ""))))
    rounds = -(-int(status.get("failed", 0)) // max(_wanted(workload), 1))
    # The last round of a job that failed was not restarted.
    return max(rounds - 1, 0) if _FAILS & _conditions(workload).keys() else rounds


def _max_restarts(workload: Document) -> int:
    spec = mapping(workload.get("spec"))
    if workload.get("kind") == "JobSet":
        return int(mapping(spec.get("failurePolicy")).get("maxRestarts", 0))
    if "backoffLimitPerIndex" in spec:
        return int(spec["backoffLimitPerIndex"])
    return int(spec.get("backoffLimit", 0)) // max(_wanted(workload), 1)
