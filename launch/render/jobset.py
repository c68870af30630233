"""JobSet: all workers restart together; the only form that drives a multi-host TPU slice."""

import dataclasses

from launch.code import programs
from launch.render import failure_rules
from launch.render.indexed_job import job_spec, workload_metadata
from launch.render.pod import template
from launch.spec.documents import Document
from launch.spec.job import JobSpec
from launch.spec.labels import TF_PORT, TPU_PORT


def worker_addresses(spec: JobSpec) -> list[str]:
    """`host:port` of every worker of an ordinary JobSet."""
    return [f"{spec.name}-worker-0-{i}.{spec.name}:{TF_PORT}" for i in range(spec.workers)]


def of_workers(spec: JobSpec, command: tuple[str, ...], env: dict[str, str]) -> Document:
    """A JobSet with one group of equal workers."""
    return _jobset(spec, [_group(spec, "worker", spec.workers, template(spec, command, env))])


def of_tpu_slice(spec: JobSpec, command: tuple[str, ...]) -> Document:
    """A JobSet of TPU hosts that serve their chips, and the CPU pod that drives them.

    Experimental: the pattern is public, this project has not run it on hardware.
    """
    if spec.slice is None:
        raise ValueError("a TPU slice is needed")
    count = spec.slice.hosts
    hosts = [f"grpc://{spec.name}-host-0-{i}.{spec.name}:{TPU_PORT}" for i in range(count)]
    serve = template(spec, ("python", "-c", programs.source("tpu_worker")), {})
    serve["spec"]["containers"][0]["ports"] = [{"name": "tpu", "containerPort": TPU_PORT}]
    driver = dataclasses.replace(spec, accelerator="cpu", topology="", workers=1)
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
        "metadata": workload_metadata(spec),
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
    job = job_spec(spec, pods, pod, retries)
    del pod["spec"]["subdomain"]  # JobSet sets it
    return {"name": name, "replicas": 1, "template": {"spec": job}}
