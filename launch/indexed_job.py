"""The Indexed Job: one pod for each worker or trial, alone or as a group of a JobSet."""

from typing import Any

from launch.documents import Document
from launch.network import metadata
from launch.spec import JobSpec


def job_spec(spec: JobSpec, pods: int, pod: Document, **retries: Any) -> Document:
    """The spec of a Job.

    Args:
        spec: of the run.
        pods: how many pods have to succeed.
        pod: their template.
        retries: fields that say what follows when a pod fails, and what else differs.
    """
    return {
        "completionMode": "Indexed",
        "completions": pods,
        "parallelism": pods,
        **retries,
        # A stop by SIGTERM is retried without being counted; the deadline is its only cap.
        "activeDeadlineSeconds": spec.deadline_hours * 3600,
        "podReplacementPolicy": "Failed",
        "template": pod,
    }


def workload_metadata(spec: JobSpec) -> Document:
    """Metadata of the workload itself: with the queue in which it waits."""
    head = metadata(spec)
    if spec.queue:
        head["labels"] = head["labels"] | {"kueue.x-k8s.io/queue-name": spec.queue}
    return head
