"""JobSpec to Kubernetes documents: a pure function, the only one that backends submit."""

import json
from typing import Any

from common.cluster_description import INDEX_VARIABLE, worker_env
from common.exit_codes import ExitCode, RunError
from launch import (
    code_volume,
    documents,
    jobset,
    network,
    placement,
    policy,
    programs,
    trainer_args,
)
from launch.documents import Document
from launch.feasibility import check
from launch.images import check_image
from launch.indexed_job import job_spec, workload_metadata
from launch.pod import CONTAINER, TF_PORT, labels, template
from launch.spec import JobSpec

_EXPERIMENTAL = "Experimental: this pattern has not been run on hardware by this project."
_COMPILED = ("xla_step", "xla_loop")
_NO_XLA = (
    "Warning: TensorFlow 2.21's XLA writes PTX 8.5, too old for the {}: compiled execution is "
    "expected to end the process there (never run); use --config.execution=graph."
)


def render(spec: JobSpec) -> list[Document]:
    """Every document of the job, in the order in which they are created; the workload is last.

    Raises:
        RunError: the spec cannot run on Kubernetes; BAD_FLAG with the reason.
    """
    check(spec)
    check_image(spec)
    _check_workdir(spec)
    _check_sweep(spec)
    made = [_service_account(spec)] if spec.workload_identity else []
    made.append(network.policy(spec))
    if spec.code and not spec.code.url:
        code = code_volume.config_map(spec.name, spec.code, labels(spec))
        code["metadata"]["namespace"] = spec.namespace
        made.append(code)
    if spec.pod_monitor:
        made.append(network.pod_monitor(spec))
    return [*made, *_workload(spec)]


def text(spec: JobSpec) -> str:
    """Every document as one YAML stream, below a comment where there is a remark."""
    comment = f"# {remark(spec)}\n" if remark(spec) else ""
    return comment + documents.dump(render(spec))


def remark(spec: JobSpec) -> str:
    """What somebody must know before using this job, or ""."""
    if spec.multi_host_tpu:
        return _EXPERIMENTAL
    return "" if spec.device.xla or not _is_compiled(spec) else _NO_XLA.format(spec.device.title)


def _is_compiled(spec: JobSpec) -> bool:
    """Whether a run of the job asks for compiled execution on its command line."""
    asked = [
        trainer_args.value((*spec.args, *trial), "config.execution")
        for trial in spec.trials or [()]
    ]
    return any(execution in _COMPILED for execution in asked)


def _workload(spec: JobSpec) -> list[Document]:
    if spec.multi_host_tpu:
        return [jobset.of_tpu_slice(spec, (*spec.command, *spec.args))]
    command = (*spec.command, *placement.strategy_flags(spec), *spec.args)
    index = f"$({INDEX_VARIABLE})"
    if spec.jobset:
        env = worker_env(jobset.worker_addresses(spec), index)
        return [jobset.of_workers(spec, command, env)]
    if spec.trials:
        return [_job(spec, template(spec, _trial_command(spec, command), {}))]
    env = worker_env(worker_addresses(spec), index)
    job = _job(spec, template(spec, command, env))
    return [network.service(spec), job] if spec.workers > 1 else [job]


def worker_addresses(spec: JobSpec) -> list[str]:
    """`host:port` of every worker of an Indexed Job."""
    return [f"{spec.name}-{i}.{spec.name}:{TF_PORT}" for i in range(spec.workers)]


def _trial_command(spec: JobSpec, command: tuple[str, ...]) -> tuple[str, ...]:
    table = json.dumps([list(trial) for trial in spec.trials], separators=(",", ":"))
    return ("python", "-c", programs.source("trial"), table, *command)


def _job(spec: JobSpec, pod: Document) -> Document:
    retries = _trial_retries(spec) if spec.trials else _retries(spec)
    ttl = {"ttlSecondsAfterFinished": spec.ttl_hours * 3600}
    pods = len(spec.trials) or spec.workers
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": workload_metadata(spec),
        "spec": job_spec(spec, pods, pod, **retries, **ttl),
    }


def _retries(spec: JobSpec) -> dict[str, Any]:
    return {
        # A lost peer fails every pod, so each restart of the whole job counts once a worker.
        "backoffLimit": spec.max_restarts * spec.workers,
        "podFailurePolicy": {"rules": policy.pod_failure_rules(CONTAINER)},
    }


def _trial_retries(spec: JobSpec) -> dict[str, Any]:
    return {
        "parallelism": min(spec.parallel_trials, len(spec.trials)),
        "backoffLimitPerIndex": spec.max_restarts,
        "maxFailedIndexes": len(spec.trials),
        "podFailurePolicy": {"rules": policy.index_failure_rules(CONTAINER)},
    }


def _service_account(spec: JobSpec) -> Document:
    head = network.metadata(spec)
    head["annotations"] = {"iam.gke.io/gcp-service-account": spec.workload_identity}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": head,
        "automountServiceAccountToken": False,
    }


def _check_workdir(spec: JobSpec) -> None:
    lasting = "://" in spec.workdir or any(
        spec.workdir == mount.path or spec.workdir.startswith(mount.path + "/")
        for mount in spec.mounts
    )
    if not lasting:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--workdir={spec.workdir} is lost with the pod; give the trainer a bucket "
            "(--workdir=gs://BUCKET/RUN after `--`) or a folder below --mount_pvc or --mount_gcs",
        )


def _check_sweep(spec: JobSpec) -> None:
    if spec.trials and spec.jobset:
        raise RunError(
            ExitCode.BAD_FLAG,
            "--sweep retries each trial for itself, --jobset all workers together; "
            "leave --jobset out, or say --nojobset where a profile asks for it",
        )
