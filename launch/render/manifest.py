"""JobSpec to Kubernetes documents: a pure function, the only one that backends submit."""

import json

from common.cluster_description import INDEX_VARIABLE, worker_env
from launch.code import programs, volume
from launch.render import network, placement, trainjob, workload
from launch.render.pod import template
from launch.spec import documents, trainer_args
from launch.spec.documents import Document
from launch.spec.feasibility import check, check_image
from launch.spec.job import JobSpec
from launch.spec.labels import metadata
from launch.spec.user_input import bad_flag

_EXPERIMENTAL = "Experimental: this pattern has not been run on hardware by this project."
_OF_THE_POD = ("file", "local", "memory")  # schemes of fsspec that leave the pod nowhere
_SPOT_GRACE_SECS = 15
_SPOT_GRACE = (
    f"A spot machine that is taken back gives {_SPOT_GRACE_SECS} s from SIGTERM to SIGKILL: "
    "--grace_secs={} holds for drains alone; a save must fit into it, or costs its interval."
)
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
    _check_ttl(spec)
    made = [_service_account(spec)] if spec.workload_identity else []
    made.append(network.policy(spec))
    if spec.code and not spec.code.url:
        made.append(volume.config_map(spec.code, metadata(spec)))
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
    said = []
    if not spec.device.xla and _is_compiled(spec):
        said.append(_NO_XLA.format(spec.device.title))
    if spec.spot and spec.platform == "gke" and spec.grace_secs > _SPOT_GRACE_SECS:
        said.append(_SPOT_GRACE.format(spec.grace_secs))
    claims = [mount.source for mount in spec.mounts if mount.kind == "pvc"]
    if claims and spec.units > 1:
        said.append(f"{' and '.join(claims)} must be ReadWriteMany: {spec.units} pods mount it.")
    return " ".join(said)


def _is_compiled(spec: JobSpec) -> bool:
    """Whether a run of the job asks for compiled execution on its command line."""
    return any(
        trainer_args.value((*spec.args, *trial), "config.execution") in _COMPILED
        for trial in spec.trials or [()]
    )


def _workload(spec: JobSpec) -> list[Document]:
    """The Job, JobSet or TrainJob, after the Service or the runtime that it needs."""
    command = (*spec.command, *placement.trainer_flags(spec), *spec.args)
    if spec.multi_host_tpu:
        return _of_jobset(spec, workload.jobset_of_tpu_slice(spec, command))
    if spec.trials:
        return [workload.job(spec, template(spec, _trial_command(spec, command), {}))]
    env = worker_env(workload.worker_addresses(spec), f"$({INDEX_VARIABLE})")
    if spec.has_jobset:
        return _of_jobset(spec, workload.jobset_of_workers(spec, command, env))
    job = workload.job(spec, template(spec, command, env))
    return [network.service(spec), job] if spec.workers > 1 else [job]


def _of_jobset(spec: JobSpec, jobset: Document) -> list[Document]:
    return trainjob.of_jobset(spec, jobset) if spec.trainjob else [jobset]


def _trial_command(spec: JobSpec, command: tuple[str, ...]) -> tuple[str, ...]:
    table = json.dumps([list(trial) for trial in spec.trials], separators=(",", ":"))
    return ("python", "-c", programs.source("trial"), table, *command)


def _service_account(spec: JobSpec) -> Document:
    annotations = {"iam.gke.io/gcp-service-account": spec.workload_identity}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {**metadata(spec), "annotations": annotations},
        "automountServiceAccountToken": False,
    }


def _check_workdir(spec: JobSpec) -> None:
    scheme, separator, _ = spec.workdir.partition("://")
    lasting = (bool(separator) and scheme not in _OF_THE_POD) or any(
        spec.workdir == mount.path or spec.workdir.startswith(mount.path + "/")
        for mount in spec.mounts
    )
    if not lasting:
        raise bad_flag(
            f"--workdir={spec.workdir} is lost with the pod; give the trainer a bucket "
            "(--workdir=gs://BUCKET/RUN after `--`) or a folder below --mount_pvc or --mount_gcs"
        )


def _check_sweep(spec: JobSpec) -> None:
    if spec.halving:
        raise bad_flag(
            "--sweep with `halving` needs --backend=local: between two rungs trials wait for each "
            "other, which a Job cannot say; take `halving` out to run all trials to their end"
        )
    for flag in ("jobset", "trainjob"):
        if spec.trials and getattr(spec, flag):
            raise bad_flag(
                f"--sweep retries each trial for itself, --{flag} all workers together; "
                f"leave --{flag} out, or say --no{flag} where a profile asks for it"
            )


def _check_ttl(spec: JobSpec) -> None:
    if spec.trainjob and spec.ttl_hours != JobSpec.ttl_hours:
        raise bad_flag(
            f"--ttl_hours={spec.ttl_hours}: a TrainJob has no time to live; leave it out, and "
            "remove the job with `launch delete`"
        )
