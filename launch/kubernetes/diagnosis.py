"""From the objects of a cluster to the state of a job: pure functions of what the server said."""

import json
from collections import Counter
from collections.abc import Callable, Sequence

from launch.kubernetes import pod_state, root_cause
from launch.kubernetes.pod_state import created, worker_index, worker_name
from launch.spec import sweep, trainer_args
from launch.spec.causes import Failure, newest_root
from launch.spec.documents import Document, mapping, mappings, sequence
from launch.spec.labels import CANCELLED
from launch.spec.status import JobStatus, Phase

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
        workload: the Job, the JobSet, or a TrainJob with what its JobSet holds.
        pods: all its pods, of every attempt.
        events: events about the workload, its Jobs and its pods: what keeps pods from starting, and
            what became of those that are gone.
        queue: what Kueue says about it, verbatim, or "".
    """
    job_phase, detail = _phase(workload, pods, events, queue)
    first_failure, earlier = newest_root(_attempts(workload, pods, events))
    words = _command(workload)
    return JobStatus(
        name=workload["metadata"]["name"],
        backend="kubernetes",
        phase=job_phase,
        detail=detail,
        created=created(workload),
        command=" ".join("..." if "\n" in word or len(word) > 200 else word for word in words),
        workdir=trainer_args.value(words, "workdir") or "",
        restarts=_restarts(workload),
        max_restarts=_max_restarts(workload),
        first_failure=first_failure,
        earlier=tuple(map(str, earlier)),
        uncounted=sum(not one.cause.is_counted for one in (*earlier, first_failure) if one),
    )


def lacks_pods(workload: Document, pods: Sequence[Document]) -> bool:
    """Whether pods of a job that has not ended are still to be made: events may say why."""
    alive = sum(pod_state.phase(pod) != "Failed" for pod in pods)
    return "completionTime" not in mapping(workload, "status") and alive < _wanted(workload)


def is_decided(workload: Document) -> bool:
    """Whether its end is settled, even where its pods still stop: nothing changes it any more."""
    return bool(_DECIDED & _conditions(workload).keys())


def trial_lines(
    workload: Document, pods: Sequence[Document], read: Callable[[str], str]
) -> tuple[str, ...]:
    """One line for each trial; none where the workload is no sweep.

    Args:
        workload: the Job.
        pods: all its pods.
        read: gives the text of a file in the workdir's bucket.
    """
    trials = _trials(workload)
    if not trials:
        return ()
    newest = {worker_index(pod): pod_state.exit_code(pod) for pod in sorted(pods, key=created)}
    codes = {int(i): code for i, code in newest.items() if i is not None and code is not None}
    codes |= dict.fromkeys(indexes(mapping(workload, "status").get("completedIndexes", "")), 0)
    return sweep.results(trials, codes, read)


def runs(workload: Document) -> list[list[str]]:
    """What the trainer is given on its command line: once, or for each trial of a sweep."""
    words = _command(workload)
    shared = [word for word in words if word.startswith("-") and word not in ("-m", "-c")]
    return [[*shared, *trial] for trial in _trials(workload) or [[]]]


def _trials(workload: Document) -> list[list[str]]:
    """The arguments of each trial; empty where the workload is no sweep."""
    if not _is_sweep(workload):
        return []
    containers = mappings(workload, "spec", "template", "spec", "containers")
    return list(json.loads(str(containers[0]["args"][0]).replace("$$", "$")))


def indexes(text: str) -> list[int]:
    """The numbers in Kubernetes' short form, for example 0,2-4."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _conditions(workload: Document) -> dict[str, Document]:
    """Type -> the conditions that hold."""
    return {
        condition["type"]: condition
        for condition in mappings(workload, "status", "conditions")
        if condition.get("status") == "True"
    }


def _phase(
    workload: Document, pods: Sequence[Document], events: Sequence[Document], queue: str
) -> tuple[Phase, str]:
    conditions = _conditions(workload)
    if ended := conditions.get("Complete") or conditions.get("Completed"):
        return "succeeded", str(ended.get("message", ""))
    if ended := conditions.get("Failed"):
        if CANCELLED in mapping(workload, "metadata", "annotations"):
            return "cancelled", "cancelled by request"
        return "failed", _why(ended)
    if ending := conditions.get("FailureTarget"):  # set before the pods have stopped
        return "running", f"stopping: {_why(ending)}"
    if "Suspended" in conditions or mapping(workload, "spec").get("suspend"):
        return "queued", queue or "suspended"
    return _running(workload, pods, events)


def _why(condition: Document) -> str:
    return f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")


def _running(
    workload: Document, pods: Sequence[Document], events: Sequence[Document]
) -> tuple[Phase, str]:
    if _has_groups(workload) and not mappings(workload, "spec", "replicatedJobs"):
        why = _warning(events, workload) or "its controller has not made the JobSet"
        return "starting", f"no pod can be made yet: {why}"
    wanted = _wanted(workload)
    phases = Counter(map(pod_state.phase, pods))
    lost = [f"{worker_name(pod)}: {why}" for pod in pods if (why := pod_state.lost_node(pod))]
    running, done = phases["Running"] - len(lost), phases["Succeeded"]
    if lost:
        return "running", "; ".join([f"{running} of {wanted} running", *lost])
    said = [f"{running} of {wanted} running{f', {done} done' if done else ''}"]
    said += [reason for pod in pods if (reason := pod_state.stuck(pod))][:1]
    if (warning := _warning(events, workload, "FailedCreate")) and lacks_pods(workload, pods):
        said.append(f"{'not every' if pods else 'no'} pod can be made: {warning}")
    for pod in filter(pod_state.waits_silently, pods):
        if warning := _warning(events, pod):
            said.append(f"{worker_name(pod)} waits: {warning}")
    started = running + done >= wanted or (running + done and len(said) == 1)
    return ("running" if started else "starting"), "; ".join(said)


def _warning(events: Sequence[Document], document: Document, reason: str = "") -> str:
    """The newest warning about one object, of one reason or of any, or ""."""
    name = document["metadata"]["name"]
    warnings = [
        event
        for event in sorted(events, key=pod_state.last_seen)
        if mapping(event, "involvedObject").get("name") == name
        and event.get("type") == "Warning"
        and reason in ("", event.get("reason"))
    ]
    return " ".join(str(warnings[-1].get("message")).split()) if warnings else ""


def _attempts(
    workload: Document, pods: Sequence[Document], events: Sequence[Document]
) -> list[list[Failure]]:
    """The failures of each attempt that pods or events still tell of, the oldest first."""
    of_jobs = [
        event
        for event in sorted(events, key=pod_state.last_seen)
        if mapping(event, "involvedObject").get("kind") == "Job" and _has_groups(workload)
    ]
    attempts = root_cause.of_events(of_jobs, pods)
    is_sweep = _is_sweep(workload)
    # A trial that has no pod yet was not deleted: each is for itself.
    workers = [] if is_sweep else _workers(workload)
    attempts += root_cause.of_pods(_unhealed(workload, pods), is_sweep, workers)
    if not any(attempts) and (ended := _conditions(workload).get("Failed")):
        attempts = root_cause.of_condition(ended)
    return attempts


def _unhealed(workload: Document, pods: Sequence[Document]) -> Sequence[Document]:
    """The pods but for those of trials that succeeded after all: attempts count for each trial."""
    if not _is_sweep(workload):
        return pods
    healed = set(map(str, indexes(mapping(workload, "status").get("completedIndexes", ""))))
    return [pod for pod in pods if worker_index(pod) not in healed]


def _has_groups(workload: Document) -> bool:
    """Whether it is a JobSet, made by us or of a TrainJob, and not a Job."""
    return workload["kind"] != "Job"


def _is_sweep(workload: Document) -> bool:
    return "backoffLimitPerIndex" in mapping(workload, "spec")


def _command(workload: Document) -> list[str]:
    """Program and arguments of the trainer; of a JobSet's last group, which holds the trainer."""
    groups = mappings(workload, "spec", "replicatedJobs")
    job = mapping(groups[-1], "template", "spec") if groups else mapping(workload, "spec")
    containers = mappings(job, "template", "spec", "containers") or [{}]
    words = [*sequence(containers[0], "command"), *sequence(containers[0], "args")]
    return list(map(str, words))


def _workers(workload: Document) -> list[str]:
    """The names of the pods of one attempt."""
    groups = mappings(workload, "spec", "replicatedJobs") or [
        {"name": "worker", "template": workload}
    ]
    return [
        f"{group.get('name', 'worker')} {index}"
        for group in groups
        for index in range(int(mapping(group, "template", "spec").get("parallelism", 1)))
    ]


def _wanted(workload: Document) -> int:
    return len(_workers(workload))


def _restarts(workload: Document) -> int:
    status = mapping(workload, "status")
    if _has_groups(workload):
        return int(status.get("restartsCountTowardsMax", 0))
    failed = int(status.get("failed", 0))
    if _is_sweep(workload):
        return failed - len(indexes(status.get("failedIndexes", "")))
    rounds = -(-failed // max(_wanted(workload), 1))
    # The last round of a job that failed was not restarted.
    return max(rounds - 1, 0) if _FAILS & _conditions(workload).keys() else rounds


def _max_restarts(workload: Document) -> int:
    spec = mapping(workload, "spec")
    if _has_groups(workload):
        return int(mapping(spec, "failurePolicy").get("maxRestarts", 0))
    if _is_sweep(workload):
        return int(spec["backoffLimitPerIndex"])
    return int(spec.get("backoffLimit", 0)) // max(_wanted(workload), 1)
