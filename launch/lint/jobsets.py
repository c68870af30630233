"""JobSets: names inside of it that exist, an end that comes, workers that find each other."""

from collections import Counter
from collections.abc import Iterator

from launch.lint.finding import Finding, error
from launch.lint.objects import Objects
from launch.lint.pods import RUNTIMES, Pods, jobset_of
from launch.lint.slips import did_you_mean
from launch.spec.documents import Document, mapping, mappings, sequence, title, whole
from launch.spec.names import LABEL

_SERVES = ("server_lib.Server(", "tpu_worker", "start_server", "serve_forever", "join()")
_REASONS = (
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
)


def check_jobsets(objects: Objects, document: Document) -> Iterator[Finding]:
    """All rules on a JobSet as a whole, or on the one that a runtime of Kubeflow Trainer holds."""
    if document.get("kind") not in ("JobSet", *RUNTIMES):
        return
    spec, path = jobset_of(document)
    where = f"{title(document)} {path}"
    groups = [str(one.get("name")) for one in mappings(spec, "replicatedJobs")]
    for index, name in enumerate(groups):
        if not LABEL.fullmatch(name):
            yield error(
                f"{where}.replicatedJobs[{index}].name",
                f"{name!r} is not a valid name: the JobSet is refused",
                "use lower-case letters, digits and '-'",
            )
    for name, times in Counter(groups).items():
        if times > 1:
            yield error(f"{where}.replicatedJobs", f"{times} are called {name!r}", "rename one")
    for field, name in _inner_names(spec):
        if name not in groups:
            yield error(
                f"{where}.{field}",
                f"{name!r} is not a replicated job: the JobSet is refused or never ends",
                did_you_mean(name, groups) or f"use one of {groups}",
            )
    yield from _check_order(where, spec, groups)
    yield from _check_coordinator(where, spec)
    yield from _check_reasons(where, spec)
    pods = [one for one in objects.pods if one.document is document]
    yield from _check_end(where, spec, pods)
    yield from _check_network(where, spec, pods)


def _inner_names(spec: Document) -> Iterator[tuple[str, str]]:
    for name in sequence(spec, "successPolicy", "targetReplicatedJobs"):
        yield "successPolicy.targetReplicatedJobs", str(name)
    for index, rule in enumerate(mappings(spec, "failurePolicy", "rules")):
        for name in sequence(rule, "targetReplicatedJobs"):
            yield f"failurePolicy.rules[{index}].targetReplicatedJobs", str(name)
    for index, group in enumerate(mappings(spec, "replicatedJobs")):
        for one in mappings(group, "dependsOn"):
            yield f"replicatedJobs[{index}].dependsOn", str(one.get("name"))
    if coordinator := mapping(spec, "coordinator"):
        yield "coordinator.replicatedJob", str(coordinator.get("replicatedJob"))


def _check_order(where: str, spec: Document, groups: list[str]) -> Iterator[Finding]:
    for index, group in enumerate(mappings(spec, "replicatedJobs")):
        for one in mappings(group, "dependsOn"):
            name = str(one.get("name"))
            if name in groups and groups.index(name) >= index:
                yield error(
                    f"{where}.replicatedJobs[{index}].dependsOn",
                    f"{name!r} does not stand above: the JobSet is refused",
                    "put it above, without a circle",
                )


def _check_coordinator(where: str, spec: Document) -> Iterator[Finding]:
    coordinator = mapping(spec, "coordinator")
    for group in mappings(spec, "replicatedJobs"):
        if group.get("name") != coordinator.get("replicatedJob"):
            continue
        job = mapping(group, "template", "spec")
        limits = {
            "jobIndex": whole(group.get("replicas"), 1),
            "podIndex": whole(job.get("completions"), whole(job.get("parallelism"), 1)),
        }
        for field, limit in limits.items():
            if whole(coordinator.get(field), 0) >= limit:
                yield error(
                    f"{where}.coordinator.{field}",
                    f"{coordinator[field]} is not one of {limit}: no pod coordinates",
                    f"use 0 to {limit - 1}",
                )


def _check_reasons(where: str, spec: Document) -> Iterator[Finding]:
    for index, rule in enumerate(mappings(spec, "failurePolicy", "rules")):
        for reason in sequence(rule, "onJobFailureReasons"):
            if reason not in _REASONS:
                yield error(
                    f"{where}.failurePolicy.rules[{index}].onJobFailureReasons",
                    f"no Job fails with the reason {reason!r}: the JobSet is refused",
                    did_you_mean(str(reason), _REASONS) or f"use one of {list(_REASONS)}",
                )


def _check_end(where: str, spec: Document, pods: list[Pods]) -> Iterator[Finding]:
    """A group that serves does not end: the JobSet ends only if it says which group decides."""
    servers = [one.group for one in pods if any(word in str(one.spec) for word in _SERVES)]
    policy = mapping(spec, "successPolicy")
    targets = [str(name) for name in sequence(policy, "targetReplicatedJobs")]
    ends_with = set(targets or [one.group for one in pods])
    for index, group in enumerate(mappings(spec, "replicatedJobs")):
        for one in mappings(group, "dependsOn"):
            if one.get("name") in servers and one.get("status") == "Complete":
                yield error(
                    f"{where}.replicatedJobs[{index}].dependsOn",
                    f"{one['name']!r} serves for ever: {group.get('name')!r} never starts",
                    "wait for status Ready",
                )
    waits = ends_with & set(servers)
    if not waits or (policy.get("operator") == "Any" and ends_with - set(servers)):
        return
    others = [one.group for one in pods if one.group not in servers]
    yield error(
        f"{where}.successPolicy",
        f"{sorted(waits)[0]!r} serves for ever, and the JobSet ends only when it does",
        f"write operator All and targetReplicatedJobs {others}",
    )


def _check_network(where: str, spec: Document, pods: list[Pods]) -> Iterator[Finding]:
    network = mapping(spec, "network")
    several = len(pods) > 1 or any(one.is_cluster or one.copies > 1 for one in pods)
    faults = {
        "enableDNSHostnames": "the workers cannot find each other",
        "publishNotReadyAddresses": "workers wait for names that appear only when they are ready",
    }
    for field, problem in faults.items() if several else ():
        if network.get(field, True) is not True:
            yield error(f"{where}.network.{field}", problem, "set it to true")
