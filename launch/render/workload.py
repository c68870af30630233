"""The workload: an Indexed Job of one pod for each worker or trial, alone or as groups of a JobSet.

A JobSet restarts all workers together, and is the only form that drives a multi-host TPU slice.
"""

import dataclasses

from launch.code import programs
from launch.render import failure_rules
from launch.render.pod import template
from launch.spec.documents import Document
from launch.spec.job import JobSpec
from launch.spec.labels import QUEUE, TF_PORT, TPU_PORT, metadata


def worker_addresses(spec: JobSpec) -> list[str]:
    """`host:port` of every worker."""
    stem = f"{spec.name}-worker-0" if spec.has_jobset else spec.name
    return [f"{stem}-{index}.{spec.name}:{TF_PORT}" for index in range(spec.workers)]


def job(spec: JobSpec, pod: Document) -> Document:
    """A Job of workers, or of the trials of a sweep."""
    retries = _retries_of_trials(spec) if spec.trials else _retries_of_workers(spec)
    retries["ttlSecondsAfterFinished"] = spec.ttl_hours * 3600
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(spec),
        "spec": _job_spec(spec, spec.units, pod, retries),
    }


def jobset_of_workers(spec: JobSpec, command: tuple[str, ...], env: dict[str, str]) -> Document:
    """A JobSet with one group of equal workers."""
    return _jobset(spec, [_group(spec, "worker", spec.workers, template(spec, command, env))])


def jobset_of_tpu_slice(spec: JobSpec, command: tuple[str, ...]) -> Document:
    """A JobSet of TPU hosts that serve their chips, and the CPU pod that drives them.

    Experimental: the pattern is public, this project has not run it on hardware.
    """
    if spec.slice is None:
        raise ValueError("a TPU slice is needed")
    count = spec.slice.hosts
    hosts = [f"grpc://{spec.name}-host-0-{i}.{spec.name}:{TPU_PORT}" for i in range(count)]
    serve = template(spec, ("python", "-c", programs.source("tpu_worker")), {})
    serve["spec"]["containers"][0]["ports"] = [{"name": "tpu", "containerPort": TPU_PORT}]
    # The chips, which may need a privileged container, are not the coordinator's.
    privileged = "" if spec.privileged == "tpu" else spec.privileged
    driver = dataclasses.replace(
        spec,
        accelerator="cpu",
        topology="",
        workers=1,
        resource=(),
        privileged=privileged,
        jobset=True,  # no slice any more, but still one of its pods
    )
    drive = template(driver, (*command, "--strategy=tpu", f"--tpu={','.join(hosts)}"), {})
    jobset = _jobset(
        spec,
        [
            _group(spec, "host", count, serve),
            {
                **_group(spec, "coordinator", 1, drive),
                "dependsOn": [{"name": "host", "status": "Ready"}],
            },
        ],
    )
    # The hosts serve for ever: the run is over when the coordinator is.
    jobset["spec"]["successPolicy"] = {"operator": "All", "targetReplicatedJobs": ["coordinator"]}
    return jobset


def _jobset(spec: JobSpec, groups: list[Document]) -> Document:
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": _metadata(spec),
        "spec": {
            "network": {
                "enableDNSHostnames": True,
                "subdomain": spec.name,
                "publishNotReadyAddresses": True,
            },
            "failurePolicy": {
                "maxRestarts": spec.max_restarts,
                "restartStrategy": "BlockingRecreate",
                "rules": failure_rules.of_jobset(),
            },
            "ttlSecondsAfterFinished": spec.ttl_hours * 3600,
            "replicatedJobs": groups,
        },
    }


def _group(spec: JobSpec, name: str, pods: int, pod: Document) -> Document:
    # Any failed pod ends the Job; the JobSet decides what follows.
    retries = {"backoffLimit": 0, "podFailurePolicy": {"rules": failure_rules.of_gang()}}
    job = _job_spec(spec, pods, pod, retries)
    del pod["spec"]["subdomain"]  # JobSet sets it
    return {"name": name, "replicas": 1, "template": {"spec": job}}


def _job_spec(spec: JobSpec, pods: int, pod: Document, retries: Document) -> Document:
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


def _metadata(spec: JobSpec) -> Document:
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
