"""What cannot run is refused before anything is made, with the nearest that can."""

import itertools

from common.exit_codes import ExitCode, RunError
from common.redaction import holds_secret, is_secret_name
from launch import accelerators, names, trainer_args
from launch.pod import TF_PORT, TPU_PORT
from launch.spec import CODE_DIR, JobSpec
from launch.topologies import Slice, find_slice, slices


def check(spec: JobSpec) -> JobSpec:
    """Returns the spec if it can run anywhere.

    Raises:
        RunError: BAD_FLAG with one line: what, the value, what is allowed, which flag to change.
    """
    _check_numbers(spec)
    _check_devices(spec)
    names.check(spec.name, _longest_infix(spec))
    _check_objects(spec)
    _check_mounts(spec)
    _check_microbatches(spec)
    _check_trials(spec)
    _check_text(spec)
    _check_secrets(spec)
    return spec


def _check_objects(spec: JobSpec) -> None:
    named = [("namespace", spec.namespace), ("service_account", spec.service_account)]
    named += [("queue", spec.queue)] if spec.queue else []
    named += [("priority_class", spec.priority_class)] if spec.priority_class else []
    named += [("mount_pvc", mount.source) for mount in spec.mounts if mount.kind == "pvc"]
    named += [("secret_env", variable.secret) for variable in spec.secret_env]
    for flag, name in named:
        if not names.OBJECT.fullmatch(name):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"--{flag}: {name!r} is not a Kubernetes name: lower-case letters, digits, "
                "'-' and '.'",
            )


def _check_mounts(spec: JobSpec) -> None:
    taken = ["/tmp", "/dev/shm", CODE_DIR]  # noqa: S108 - paths in the pod
    for mount in spec.mounts:
        path = mount.path.rstrip("/")
        if path in taken or not path:
            raise RunError(
                ExitCode.BAD_FLAG,
                f"--mount_{mount.kind}={mount.source}:{mount.path}: the worker has something else "
                "there; mount it at a path of its own",
            )
        taken.append(path)


def _check_secrets(spec: JobSpec) -> None:
    for args in (spec.args, *spec.trials):
        trainer_args.refuse_secrets(args)
    for name, text in spec.env:
        if is_secret_name(name) or holds_secret(text):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"--env={name}=... would put a secret into the manifest; "
                f"use --secret_env={name}=SECRET/KEY",
            )


def _check_text(spec: JobSpec) -> None:
    for text in itertools.chain(spec.args, *spec.trials, (value for _, value in spec.env)):
        if "\0" in text or (not text.isascii() and text != text.encode(errors="ignore").decode()):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"{text!a} holds a NUL or bytes that are no UTF-8: no process can be given that",
            )


def _check_numbers(spec: JobSpec) -> None:
    minimums = {"workers": 1, "max_restarts": 0, "deadline_hours": 1, "grace_secs": 1}
    minimums |= {"ttl_hours": 0, "cpus": 0, "memory_gib": 0, "scratch_gib": 1, "parallel_trials": 1}
    for field, minimum in minimums.items():
        if getattr(spec, field) < minimum:
            raise RunError(
                ExitCode.BAD_FLAG, f"--{field}={getattr(spec, field)} must be at least {minimum}"
            )
    free = spec.pod_monitor in range(1024, 65536) and spec.pod_monitor not in (TF_PORT, TPU_PORT)
    if spec.pod_monitor and not free:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--pod_monitor={spec.pod_monitor} must be a port from 1024 to 65535 other than "
            f"{TF_PORT} and {TPU_PORT}, or 0 for none",
        )


def _check_devices(spec: JobSpec) -> None:
    device = spec.device
    accelerators.check_framework(device)
    if device.kind == "tpu":
        _check_tpu(spec, find_slice(device, spec.topology))
        return
    if spec.topology:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--topology={spec.topology} is for TPUs; {device.title} takes --devices_per_worker",
        )
    accelerators.check_count(device, spec.devices_per_worker, spec.platform)


def _check_tpu(spec: JobSpec, row: Slice) -> None:
    if spec.devices_per_worker:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--devices_per_worker={spec.devices_per_worker} is for GPUs; "
            f"--topology={row.topology} already says {row.chips_per_host} chips a host",
        )
    if spec.workers not in (1, row.hosts):
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--workers={spec.workers} asks for more than one slice: TensorFlow has no multislice; "
            f"one {row.topology} slice is {row.hosts} host(s); leave --workers out, "
            "or take a larger --topology",
        )
    if spec.trials and row.hosts > 1:
        raise RunError(
            ExitCode.BAD_FLAG,
            f"--sweep needs trials of one host; {row.topology} has {row.hosts} (--topology)",
        )


def _check_microbatches(spec: JobSpec) -> None:
    for trial in spec.trials or [()]:
        args = (*spec.args, *trial)
        microbatches = trainer_args.whole_number(args, "config.virtual_replicas")
        if microbatches is not None and (microbatches < 1 or microbatches % spec.replicas):
            raise RunError(
                ExitCode.BAD_FLAG,
                f"--config.virtual_replicas={microbatches} cannot be divided over {spec.replicas} "
                f"replicas; nearest: {' or '.join(_nearest(spec, microbatches))}",
            )


def _nearest(spec: JobSpec, microbatches: int) -> list[str]:
    """The hardware that divides the microbatches evenly, and the microbatches for this hardware."""
    if spec.slice:
        rows = [
            row
            for row in slices(spec.device)
            if microbatches >= 1 and microbatches % row.chips == 0
        ]
        hardware = [f"--topology={row.topology}" for row in rows[-2:]]
    else:
        each = spec.replicas // spec.workers
        counts = [
            n
            for n in range(1, 2 * spec.workers)
            if microbatches >= 1 and microbatches % (n * each) == 0
        ]
        counts.sort(key=lambda count: abs(count - spec.workers))
        hardware = [f"--workers={count}" for count in sorted(counts[:2])]
    below = microbatches // spec.replicas * spec.replicas
    possible = [count for count in (below, below + spec.replicas) if count > 0]
    return [*hardware, *(f"--config.virtual_replicas={count}" for count in possible)]


def _check_trials(spec: JobSpec) -> None:
    if spec.trials and spec.workers > 1:
        raise RunError(
            ExitCode.BAD_FLAG, f"--sweep runs trials of one worker each; --workers={spec.workers}"
        )


def _longest_infix(spec: JobSpec) -> str:
    if spec.multi_host_tpu and spec.slice:
        return f"-coordinator-0-{spec.slice.hosts - 1}"
    count = max(spec.workers, len(spec.trials))
    return f"-worker-0-{count - 1}" if spec.jobset else f"-{count - 1}"
