"""The Indexed Job: one pod for each worker or trial, alone or as a group of a JobSet."""

from launch.render import failure_rules
from launch.spec.documents import Document
from launch.spec.job import JobSpec
from launch.spec.labels import QUEUE, TF_PORT, metadata


def worker_addresses(spec: JobSpec) -> list[str]:
    """`host:port` of every worker of a Job that stands alone."""
    return [f"{spec.name}-{i}.{spec.name}:{TF_PORT}" for i in range(spec.workers)]


def job(spec: JobSpec, pod: Document) -> Document:
    """A Job of workers, or of the trials of a sweep."""
    retries = _retries_of_trials(spec) if spec.trials else _retries_of_workers(spec)
    retries["ttlSecondsAfterFinished"] = spec.ttl_hours * 3600
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": workload_metadata(spec),
        "spec": job_spec(spec, spec.units, pod, retries),
    }


def job_spec(spec: JobSpec, pods: int, pod: Document, retries: Document) -> Document:
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
        # A successor that starts while its predecessor still runs would share its workdir.
        "podReplacementPolicy": "Failed",
        "template": pod,
    }


def workload_metadata(spec: JobSpec) -> Document:
    """Metadata of the workload itself: with the queue in which it waits."""
    head = metadata(spec)
    if spec.queue:
        head["labels"] |= {QUEUE: spec.queue}
    return head


def _retries_of_workers(spec: JobSpec) -> Document:
    return {
        # A lost peer fails every pod, so each restart of the whole job counts once a worker.
        "backoffLimit": spec.max_restarts * spec.workers,
        "podFailurePolicy": {"rules": failure_rules.of_job()},
    }


def _retries_of_trials(spec: JobSpec) -> Document:
    return {
        "parallelism": min(spec.parallel_trials, len(spec.trials)),
        "backoffLimitPerIndex": spec.max_restarts,
        "maxFailedIndexes": len(spec.trials),
        "podFailurePolicy": {"rules": failure_rules.of_sweep()},
    }
