"""Jobs: fields that contradict each other, limits that leave no time, schedules that overlap."""

import re
from collections.abc import Iterator

from launch.lint.finding import Finding, error, style, warning
from launch.lint.pods import RUNTIMES, Pods, jobset_of
from launch.spec.documents import Document, mapping, mappings, sequence, title, whole
from launch.spec.labels import QUEUE

_GRACE = 30  # where a pod does not say
_NAMES = "completions parallelism backoffLimit backoffLimitPerIndex ttlSecondsAfterFinished"
_COUNTS = _NAMES.split()
_ACTIONS = ("FailJob", "FailIndex", "Ignore", "Count")


def check_jobs(pods: Pods) -> Iterator[Finding]:
    """All rules on the spec of a Job and on the pods that others keep running."""
    if pods.kind == "Job":
        yield from _check_fields(pods)
        yield from _check_counts(pods)
        yield from _check_rules(pods)
        yield from _check_time(pods)
        yield from _check_suspend(pods)
    elif pods.kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        if pods.spec.get("restartPolicy", "Always") != "Always":
            yield error(
                pods.at("restartPolicy"),
                f"{pods.spec['restartPolicy']!r}: a {pods.kind} takes Always only",
                "write Always, or use a Job",
            )
        if pods.trainers:
            yield error(
                title(pods.document),
                "starts training again that has ended",
                "run training as a Job or a JobSet",
            )
    elif pods.kind == "Pod" and pods.trainers:
        yield warning(
            title(pods.document),
            "is gone for good with its node, and nothing restarts it",
            "run training as a Job or a JobSet",
        )
    yield from _check_grace(pods)
    if pods.spec.get("dnsPolicy") == "None" and not mapping(pods.spec, "dnsConfig"):
        yield error(
            pods.at("dnsConfig"), "is missing beside dnsPolicy None: it is refused", "name servers"
        )


def _check_fields(pods: Pods) -> Iterator[Finding]:
    # JobSet fills in what a Job has to say.
    job, restart = pods.owner, pods.spec.get("restartPolicy", "OnFailure" if pods.group else None)
    if restart not in ("Never", "OnFailure"):
        yield error(
            pods.at("restartPolicy"),
            f"{restart!r}: a Job takes Never or OnFailure only",
            "use Never",
        )
    indexed = pods.is_indexed
    faults = {
        "podFailurePolicy": restart == "OnFailure" and "restartPolicy is OnFailure; it needs Never",
        "backoffLimitPerIndex": (
            (not indexed and "completionMode is not Indexed")
            or (restart == "OnFailure" and "restartPolicy is OnFailure; it needs Never")
        ),
        "maxFailedIndexes": "backoffLimitPerIndex" not in job and "needs backoffLimitPerIndex",
        "successPolicy": not indexed and "completionMode is not Indexed",
        "podReplacementPolicy": (
            "podFailurePolicy" in job
            and job.get("podReplacementPolicy") != "Failed"
            and f"{job.get('podReplacementPolicy')!r} beside podFailurePolicy; it needs Failed"
        ),
        "selector": not job.get("manualSelector") and "the cluster chooses it",
        "completionMode": indexed
        and not pods.group
        and "completions" not in job
        and "Indexed needs completions",
    }
    for field, problem in faults.items():
        if field in job and problem:
            yield error(
                pods.of_owner(field), f"{problem}: the Job is refused", "change one of the two"
            )


def _check_counts(pods: Pods) -> Iterator[Finding]:
    job = pods.owner
    completions, parallelism = job.get("completions"), job.get("parallelism")
    for field in _COUNTS:
        if whole(job.get(field), 0) < 0:
            yield error(pods.of_owner(field), f"{job[field]} is below 0", "count from 0")
    if parallelism == 0 or completions == 0:
        yield error(
            pods.of_owner("parallelism" if parallelism == 0 else "completions"),
            "0: no pod ever starts",
            "use 1 or more",
        )
    most = whole(job.get("maxFailedIndexes"), 0)
    if whole(completions, most) < most:
        yield error(
            pods.of_owner("maxFailedIndexes"),
            f"{most} is more than the {completions} indexes: the Job is refused",
            f"use at most {completions}",
        )
    for index, rule in enumerate(mappings(job, "successPolicy", "rules")):
        for text in re.findall(r"\d+", str(rule.get("succeededIndexes", ""))):
            if int(text) >= whole(completions, 0):
                yield error(
                    pods.of_owner(f"successPolicy.rules[{index}].succeededIndexes"),
                    f"{text} is not an index of {completions} pods",
                    f"use 0 to {whole(completions, 1) - 1}",
                )


def _check_rules(pods: Pods) -> Iterator[Finding]:
    names = {container.get("name") for _, container in pods.containers()}
    for index, rule in enumerate(mappings(pods.owner, "podFailurePolicy", "rules")):
        where = pods.of_owner(f"podFailurePolicy.rules[{index}]")
        if rule.get("action") not in _ACTIONS:
            yield error(
                f"{where}.action", f"{rule.get('action')!r} is no action", f"one of {_ACTIONS}"
            )
        if rule.get("action") == "FailIndex" and "backoffLimitPerIndex" not in pods.owner:
            yield error(
                f"{where}.action", "FailIndex needs backoffLimitPerIndex", "use FailJob, or set it"
            )
        if ("onExitCodes" in rule) == ("onPodConditions" in rule):
            yield error(where, "needs onExitCodes or onPodConditions, one of them", "write one")
        yield from _check_exit_codes(where, mapping(rule, "onExitCodes"), names)


def _check_exit_codes(where: str, codes: Document, names: set[object]) -> Iterator[Finding]:
    name, values = codes.get("containerName"), sequence(codes, "values")
    if name is not None and name not in names:
        yield error(
            f"{where}.onExitCodes.containerName",
            f"no container is called {name!r}: the rule never applies",
            f"use one of {sorted(map(str, names))}",
        )
    numbers = [value for value in values if isinstance(value, int)]
    if codes.get("operator") == "In" and 0 in numbers:
        yield error(
            f"{where}.onExitCodes.values", "0 is no failure: the Job is refused", "leave it out"
        )
    elif numbers != sorted(set(numbers)):
        yield error(
            f"{where}.onExitCodes.values",
            f"{numbers} is not in order, or has a number twice: the Job is refused",
            "sort them",
        )


def _check_time(pods: Pods) -> Iterator[Finding]:
    ttl, where = _of_whole(pods, "ttlSecondsAfterFinished")
    if ttl is not None and 0 <= whole(ttl, -1) < 60 and pods.document.get("kind") != "CronJob":
        yield warning(
            where,
            f"{ttl}: {ttl} seconds after its end the job is gone, with its logs and the "
            "reason of a failure",
            "leave time to look, for example 86400",
        )
    elif pods.is_ours and whole(ttl, -1) < 0 and pods.document.get("kind") not in RUNTIMES:
        yield style(
            where,
            "finished jobs would pile up",
            "set it, for example to 604800",
        )
    deadline = pods.owner.get("activeDeadlineSeconds")
    grace = whole(pods.spec.get("terminationGracePeriodSeconds"), _GRACE)
    if deadline is not None and whole(deadline, 0) <= 0:
        yield error(
            pods.of_owner("activeDeadlineSeconds"),
            f"{deadline}: the job ends before it starts",
            "use seconds above 0",
        )
    elif deadline is not None and whole(deadline, 0) <= grace:
        yield error(
            pods.of_owner("activeDeadlineSeconds"),
            f"{deadline} is not above terminationGracePeriodSeconds, {grace}: the job ends before "
            "a stop is over",
            f"use more than {grace}",
        )


def _of_whole(pods: Pods, field: str) -> tuple[object, str]:
    """The value and the place of a field of the Job, or of the JobSet that it belongs to."""
    if pods.group:
        jobset, path = jobset_of(pods.document)
        return jobset.get(field), pods.of_document(f"{path}.{field}")
    return pods.owner.get(field), pods.of_owner(field)


def _check_suspend(pods: Pods) -> Iterator[Finding]:
    suspend, where = _of_whole(pods, "suspend")
    # What a runtime says is overwritten by its TrainJob.
    if suspend is not True or pods.document.get("kind") in RUNTIMES:
        return
    labels = mapping(pods.document, "metadata", "labels")
    queued = QUEUE in labels or QUEUE in mapping(
        pods.document, "spec", "jobTemplate", "metadata", "labels"
    )
    if not queued:
        yield error(
            where, "the job would never start: nobody resumes it", "leave it out, or name a queue"
        )
    elif pods.is_ours:
        yield style(where, "Kueue owns it", "leave it out")


def _check_grace(pods: Pods) -> Iterator[Finding]:
    grace = pods.spec.get("terminationGracePeriodSeconds")
    if grace is not None and whole(grace, _GRACE) < 0:
        yield error(pods.at("terminationGracePeriodSeconds"), f"{grace} is below 0", "use 60")
    elif pods.trainers and whole(grace, _GRACE) < _GRACE:
        yield warning(
            pods.at("terminationGracePeriodSeconds"),
            f"{grace} leaves no time to save the state",
            "use 60 or more",
        )
