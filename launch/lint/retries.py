"""Retries of Lockstep's runs: what stops is restarted, what is permanent fails at once."""

from collections.abc import Iterator

from common.exit_codes import ExitCode
from launch.lint.finding import Finding, error, style, warning
from launch.lint.pods import Pods, jobset_of
from launch.spec.documents import Document, mapping, mappings, sequence, whole
from launch.spec.exit_policy import IGNORED_CODES, PERMANENT_CODES
from launch.spec.labels import DISRUPTION

_COUNTED = tuple(int(code) for code in ExitCode if code.retriable and code not in IGNORED_CODES)


def check_retries(pods: Pods) -> Iterator[Finding]:
    """All retry rules of a Job of Lockstep's."""
    if pods.kind != "Job" or not pods.is_ours:
        return
    yield from _check_shape(pods)
    yield from _check_limits(pods)
    yield from _check_rules(pods)
    if pods.group:
        yield from _check_jobset(pods)


def _check_shape(pods: Pods) -> Iterator[Finding]:
    job = pods.owner
    if pods.spec.get("restartPolicy") == "OnFailure":
        yield style(
            pods.at("restartPolicy"), "'OnFailure' hides exit codes from the Job", "use Never"
        )
    if not pods.is_indexed:
        yield style(
            pods.of_owner("completionMode"),
            "pods without an index have no place in the cluster",
            "use Indexed",
        )
    replaced = job.get("podReplacementPolicy")
    # Beside a podFailurePolicy the default is Failed.
    if replaced != "Failed" and (replaced or "podFailurePolicy" not in job):
        make = warning if replaced else style
        yield make(
            pods.of_owner("podReplacementPolicy"),
            f"{replaced!r} starts a worker's successor while it still runs",
            "use Failed",
        )
    parallelism = whole(job.get("parallelism"), 1)
    if pods.is_described and parallelism < pods.in_all:
        yield error(
            pods.of_owner("parallelism"),
            f"{parallelism} of {pods.in_all} workers would start, and wait for the others",
            "make it equal to completions",
        )
    elif parallelism > pods.in_all:
        yield warning(
            pods.of_owner("parallelism"),
            f"{parallelism} of {pods.in_all} "
            + ("trials at a time" if pods.is_sweep else "workers"),
            f"use 1 to {pods.in_all}",
        )


def _check_limits(pods: Pods) -> Iterator[Finding]:
    job = pods.owner
    if "activeDeadlineSeconds" not in job:
        yield style(
            pods.of_owner("activeDeadlineSeconds"),
            "without it a stopped job restarts for ever",
            "set a deadline",
        )
    limit = job.get("backoffLimitPerIndex" if pods.is_sweep else "backoffLimit")
    if whole(limit, -1) < 0:
        yield style(
            pods.of_owner("backoffLimit"), f"{limit!r} sets no number of restarts", "set it"
        )
    elif pods.group and limit != 0:
        yield warning(
            pods.of_owner("backoffLimit"),
            f"{limit} lets one worker restart without its peers",
            "use 0",
        )
    elif pods.is_described and not pods.group and whole(limit, 0) % pods.in_all:
        yield warning(
            pods.of_owner("backoffLimit"),
            f"{limit} is not a multiple of {pods.in_all}: one lost peer fails every worker",
            "use restarts x workers",
        )


def _check_rules(pods: Pods) -> Iterator[Finding]:
    rules = mappings(pods.owner, "podFailurePolicy", "rules")
    fail = "FailIndex" if pods.is_sweep else "FailJob"
    stopped = "FailJob" if pods.group else "Ignore"
    wanted = dict.fromkeys(PERMANENT_CODES, fail) | dict.fromkeys(IGNORED_CODES, stopped)
    wanted |= dict.fromkeys(_COUNTED, "Count")
    del wanted[ExitCode.PARTED]  # of `verify` alone, not of a run
    wrong: dict[tuple[str, str], list[str]] = {}
    for code, right in wanted.items():
        if (action := _action(rules, code)) != right:
            wrong.setdefault((str(action), right), []).append(str(code))
    make = warning if rules else style
    for (action, right), codes in wrong.items():
        yield make(
            pods.of_owner("podFailurePolicy.rules"),
            f"exit code {', '.join(codes)} leads to {action}",
            f"it must lead to {right}",
        )
    if not _disruption_first(rules, stopped):
        yield make(
            pods.of_owner("podFailurePolicy.rules[0]"),
            "an evicted pod would be judged by its exit code",
            f"begin with {stopped} on the pod condition {DISRUPTION} with status 'True'",
        )


def _action(rules: list[Document], code: int) -> object:
    for rule in rules:
        condition = mapping(rule, "onExitCodes")
        listed = code in sequence(condition, "values")
        if condition and listed == (condition.get("operator") == "In"):
            return rule.get("action")
    return "Count"


def _disruption_first(rules: list[Document], action: str) -> bool:
    first = rules[0] if rules else {}
    return first.get("action") == action and any(
        one.get("type") == DISRUPTION and one.get("status", "True") == "True"
        for one in mappings(first, "onPodConditions")
    )


def _check_jobset(pods: Pods) -> Iterator[Finding]:
    jobset, path = jobset_of(pods.document)
    policy = mapping(jobset, "failurePolicy")
    make = warning if policy else style
    where = pods.of_document(f"{path}.failurePolicy")
    if whole(policy.get("maxRestarts"), -1) < 0:
        yield make(f"{where}.maxRestarts", "no failure would be retried", "set it")
    if policy.get("restartStrategy") != "BlockingRecreate":
        yield make(
            f"{where}.restartStrategy", "new workers would meet old ones", "use BlockingRecreate"
        )
    rules = mappings(policy, "rules")
    actions = [rule.get("action") for rule in rules]
    if actions != ["RestartJobSetAndIgnoreMaxRestarts", "FailJobSet"]:
        yield make(
            f"{where}.rules",
            f"the actions are {actions}",
            "first RestartJobSetAndIgnoreMaxRestarts for stops, then FailJobSet for the rest",
        )
        return
    patterns = " ".join(map(str, sequence(rules[0], "onJobFailureMessagePatterns")))
    for needed in (DISRUPTION, *(f"exit code {code} " for code in IGNORED_CODES)):
        if needed not in patterns:
            yield make(
                f"{where}.rules[0].onJobFailureMessagePatterns",
                f"does not name {needed.strip()!r}",
                "add it",
            )
    if any(rule.get("onJobFailureReasons") != ["PodFailurePolicy"] for rule in rules):
        yield make(
            f"{where}.rules", "a rule is not bound to PodFailurePolicy", "set onJobFailureReasons"
        )
