"""Retry rules: what stops is restarted, what is permanent fails at once, nothing runs for ever."""

from collections.abc import Iterator

from common.exit_codes import ExitCode
from launch.lint.workload import Finding, Workload
from launch.spec.documents import Document, mapping, mappings, sequence, whole
from launch.spec.exit_policy import IGNORED_CODES, PERMANENT_CODES
from launch.spec.labels import DISRUPTION

_COUNTED = tuple(int(code) for code in ExitCode if code.retriable and code not in IGNORED_CODES)


def check_retries(workload: Workload) -> Iterator[Finding]:
    """All retry rules of one Job."""
    yield from _check_shape(workload)
    yield from _check_limits(workload)
    yield from _check_rules(workload)
    if workload.group:
        yield from _check_jobset(workload)


def _check_shape(workload: Workload) -> Iterator[Finding]:
    job = workload.job
    if workload.pod.get("restartPolicy") != "Never":
        yield workload.of_pod(
            "restartPolicy",
            f"{workload.pod.get('restartPolicy')!r} hides exit codes from the Job",
            "use Never",
        )
    if job.get("completionMode") != "Indexed":
        yield workload.of_job(
            "completionMode", "pods without an index have no place in the cluster", "use Indexed"
        )
    if job.get("podReplacementPolicy") != "Failed":
        yield workload.of_job(
            "podReplacementPolicy",
            f"{job.get('podReplacementPolicy')!r} starts a worker's successor while it still runs",
            "use Failed",
        )
    parallelism = whole(job.get("parallelism"), 1)
    if not workload.is_sweep and parallelism != workload.pods:
        yield workload.of_job(
            "parallelism",
            f"{parallelism} of {workload.pods} workers would start, and wait for the others",
            "make it equal to completions",
        )
    if workload.is_sweep and not 1 <= parallelism <= workload.pods:
        yield workload.of_job(
            "parallelism", f"{parallelism} trials at a time", f"use 1 to {workload.pods}"
        )


def _check_limits(workload: Workload) -> Iterator[Finding]:
    job = workload.job
    if whole(job.get("activeDeadlineSeconds"), 0) <= 0:
        yield workload.of_job(
            "activeDeadlineSeconds", "without it a stopped job restarts for ever", "set a deadline"
        )
    yield from _check_ttl(workload)
    limit = job.get("backoffLimitPerIndex" if workload.is_sweep else "backoffLimit")
    if whole(limit, -1) < 0:
        yield workload.of_job("backoffLimit", f"{limit!r} sets no number of restarts", "set it")
    elif workload.group and limit != 0:
        yield workload.of_job(
            "backoffLimit", f"{limit} lets one worker restart without its peers", "use 0"
        )
    elif not workload.is_sweep and not workload.group and whole(limit, 0) % workload.pods:
        yield workload.of_job(
            "backoffLimit",
            f"{limit} is not a multiple of {workload.pods}: one lost peer fails every worker",
            "use restarts x workers",
        )


def _check_ttl(workload: Workload) -> Iterator[Finding]:
    spec = mapping(workload.document, "spec") if workload.group else workload.job
    where = "spec" if workload.group else workload.path
    if whole(spec.get("ttlSecondsAfterFinished"), -1) < 0:
        yield workload.of_document(
            f"{where}.ttlSecondsAfterFinished",
            "finished jobs would pile up",
            "set it, for example to 604800",
        )


def _check_rules(workload: Workload) -> Iterator[Finding]:
    rules = mappings(workload.job, "podFailurePolicy", "rules")
    fail = "FailIndex" if workload.is_sweep else "FailJob"
    stopped = "FailJob" if workload.group else "Ignore"
    wanted = dict.fromkeys(PERMANENT_CODES, fail) | dict.fromkeys(IGNORED_CODES, stopped)
    wanted |= dict.fromkeys(_COUNTED, "Count")
    wrong: dict[tuple[str, str], list[str]] = {}
    for code, right in wanted.items():
        if (action := _action(rules, code)) != right:
            wrong.setdefault((str(action), right), []).append(str(code))
    for (action, right), codes in wrong.items():
        yield workload.of_job(
            "podFailurePolicy.rules",
            f"exit code {', '.join(codes)} leads to {action}",
            f"it must lead to {right}",
        )
    if not _disruption_first(rules, stopped):
        yield workload.of_job(
            "podFailurePolicy.rules[0]",
            "an evicted pod would be judged by its exit code",
            f"begin with {stopped} on the pod condition {DISRUPTION} with status 'True'",
        )
    names = {container.get("name") for _, container in workload.containers()}
    for index, rule in enumerate(rules):
        name = mapping(rule, "onExitCodes").get("containerName")
        if name is not None and name not in names:
            yield workload.of_job(
                f"podFailurePolicy.rules[{index}].onExitCodes.containerName",
                f"no container is called {name!r}",
                f"use one of {sorted(map(str, names))}",
            )


def _action(rules: list[Document], code: int) -> object:
    for rule in rules:
        condition = mapping(rule, "onExitCodes")
        listed = code in sequence(condition, "values")
        if condition and listed == (condition.get("operator") == "In"):
            return rule.get("action")
    return "Count"


def _disruption_first(rules: list[Document], action: str) -> bool:
    wanted = {"type": DISRUPTION, "status": "True"}
    return (
        bool(rules)
        and rules[0].get("action") == action
        and wanted in sequence(rules[0].get("onPodConditions"))
    )


def _check_jobset(workload: Workload) -> Iterator[Finding]:
    where = "spec.failurePolicy"
    policy = mapping(workload.document, "spec", "failurePolicy")
    if whole(policy.get("maxRestarts"), -1) < 0:
        yield workload.of_document(f"{where}.maxRestarts", "no failure would be retried", "set it")
    if policy.get("restartStrategy") != "BlockingRecreate":
        yield workload.of_document(
            f"{where}.restartStrategy", "new workers would meet old ones", "use BlockingRecreate"
        )
    rules = mappings(policy, "rules")
    actions = [rule.get("action") for rule in rules]
    if actions != ["RestartJobSetAndIgnoreMaxRestarts", "FailJobSet"]:
        yield workload.of_document(
            f"{where}.rules",
            f"the actions are {actions}",
            "first RestartJobSetAndIgnoreMaxRestarts for stops, then FailJobSet for the rest",
        )
        return
    patterns = " ".join(map(str, sequence(rules[0], "onJobFailureMessagePatterns")))
    for needed in (DISRUPTION, *(f"exit code {code} " for code in IGNORED_CODES)):
        if needed not in patterns:
            yield workload.of_document(
                f"{where}.rules[0].onJobFailureMessagePatterns",
                f"does not name {needed.strip()!r}",
                "add it",
            )
    if any(rule.get("onJobFailureReasons") != ["PodFailurePolicy"] for rule in rules):
        yield workload.of_document(
            f"{where}.rules", "a rule is not bound to PodFailurePolicy", "set onJobFailureReasons"
        )
