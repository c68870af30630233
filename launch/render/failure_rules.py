"""The exit policy as rules of a Job and of a JobSet."""

from launch.spec.documents import Document
from launch.spec.exit_policy import IGNORED_CODES, PERMANENT_CODES
from launch.spec.labels import CONTAINER, DISRUPTION


def of_job() -> list[Document]:
    """The rules of a Job whose pods are retried one by one; the first match wins.

    Whatever matches no rule is counted against `backoffLimit`.
    """
    return [
        _on_disruption("Ignore"),
        _on_exit("Ignore", IGNORED_CODES),
        _on_exit("FailJob", PERMANENT_CODES),
    ]


def of_sweep() -> list[Document]:
    """The rules of a sweep: a permanent failure ends its own trial, not the others."""
    *ignored, permanent = of_job()
    return [*ignored, {**permanent, "action": "FailIndex"}]


def of_gang() -> list[Document]:
    """The rules of a Job inside a JobSet: every named end fails the Job and is in its message.

    A JobSet restarts whole Jobs and sees only the message of the failed one.
    """
    return [
        _on_disruption("FailJob"),
        _on_exit("FailJob", IGNORED_CODES),
        _on_exit("FailJob", PERMANENT_CODES),
    ]


def of_jobset() -> list[Document]:
    """JobSet's side of `of_gang`; whatever matches no rule restarts and is counted."""
    patterns = [f"condition {DISRUPTION} ", *(f"exit code {code} " for code in IGNORED_CODES)]
    reasons = ["PodFailurePolicy"]
    return [
        {
            "name": "stopped",
            "action": "RestartJobSetAndIgnoreMaxRestarts",
            "onJobFailureReasons": reasons,
            "onJobFailureMessagePatterns": patterns,
        },
        {"name": "permanent", "action": "FailJobSet", "onJobFailureReasons": reasons},
    ]


def _on_disruption(action: str) -> Document:
    return {"action": action, "onPodConditions": [{"type": DISRUPTION, "status": "True"}]}


def _on_exit(action: str, codes: tuple[int, ...]) -> Document:
    condition = {"containerName": CONTAINER, "operator": "In", "values": list(codes)}
    return {"action": action, "onExitCodes": condition}
