"""What cannot run is refused before anything is made, with the nearest that can."""

import itertools

from common.redaction import holds_secret, is_secret_name
from launch.spec import accelerators, names, trainer_args
from launch.spec.job import JobSpec, options
from launch.spec.labels import CODE_DIR, PACKAGES_DIR, TF_PORT, TPU_PORT
from launch.spec.topologies import Slice, find_slice, slices
from launch.spec.user_input import bad_flag


def check(spec: JobSpec) -> JobSpec:
    """Returns the spec if it can run anywhere.

    Raises:
        RunError: BAD_FLAG with one line: what, the value, what is allowed, which flag to change.
    """
    _check_options(spec)
    _check_metrics_port(spec.pod_monitor)
    _check_devices(spec)
    names.check(spec.name, _longest_infix(spec))
    _check_references(spec)
    _check_mounts(spec)
    _check_microbatches(spec)
    if spec.trials and spec.workers > 1:
        raise bad_flag(f"--sweep runs trials of one worker each; --workers={spec.workers}")
    if spec.halving:
        _check_length(spec)
    _check_text(spec)
    _check_secrets(spec)
    return spec


def check_image(spec: JobSpec) -> None:
    """Refuses an image that may change under the job or that cannot drive its accelerator.

    Raises:
        RunError: BAD_FLAG.
    """
    if not spec.image:
        raise bad_flag(
            "--image is missing: the container image with the trainer, for example "
            f"--image=REGISTRY/lockstep:0.1.0-{spec.device.kind} (docs/images.md builds it)"
        )
    if not names.is_pinned(spec.image):
        raise bad_flag(
            f"--image={spec.image!r} must name a tag other than latest, or a digest "
            "(REPOSITORY:TAG or REPOSITORY@sha256:...)"
        )
    built_for = names.image_flavour(spec.image)
    if built_for and built_for != spec.kind:
        asked = f"--resource={spec.resource[0].name}" if spec.resource else "--accelerator"
        asked = asked if spec.kind != spec.device.kind else f"--accelerator={spec.accelerator}"
        raise bad_flag(
            f"--image={spec.image} is built for {built_for}; {asked} "
            f"needs the TensorFlow of a {spec.kind} image (tag ending in -{spec.kind})"
        )


def _check_length(spec: JobSpec) -> None:
    for name in ("train_steps", "epochs"):
        if trainer_args.value(spec.args, f"config.{name}") is not None:
            raise bad_flag(
                f"--config.{name}: `halving.train_steps` of --sweep says how long trials are; "
                "leave it out"
            )


def _check_options(spec: JobSpec) -> None:
    """The limits that the fields themselves tell."""
    for field, (option, default) in options().items():
        value = getattr(spec, field)
        if option.minimum is not None and value < option.minimum:
            raise bad_flag(f"--{field}={value} must be at least {option.minimum}")
        if option.choices and value not in option.choices:
            raise bad_flag(
                f"--{field}={value} must be one of {', '.join(map(repr, option.choices))}"
            )
        if option.is_object_name and value != default:
            _check_object_name(field, value)


def _check_object_name(flag: str, name: str) -> None:
    if not names.OBJECT.fullmatch(name):
        raise bad_flag(
            f"--{flag}: {name!r} is not a Kubernetes name: lower-case letters, digits, '-' and '.'"
        )


def _check_references(spec: JobSpec) -> None:
    for mount in spec.mounts:
        if mount.kind == "pvc":
            _check_object_name("mount_pvc", mount.source)
    for variable in spec.secret_env:
        _check_object_name("secret_env", variable.secret)


def _check_mounts(spec: JobSpec) -> None:
    taken = ["/tmp", "/dev/shm", CODE_DIR, PACKAGES_DIR]  # noqa: S108 - paths in the pod
    for mount in spec.mounts:
        path = mount.path.rstrip("/")
        if path in taken or not path:
            raise bad_flag(
                f"--mount_{mount.kind}={mount.source}:{mount.path}: the worker has something else "
                "there; mount it at a path of its own"
            )
        taken.append(path)


def _check_secrets(spec: JobSpec) -> None:
    for args in (spec.args, *spec.trials):
        trainer_args.refuse_secrets(args)
    for name, text in spec.env:
        if is_secret_name(name) or holds_secret(text):
            raise bad_flag(
                f"--env={name}=... would put a secret into the manifest; "
                f"use --secret_env={name}=SECRET/KEY"
            )


def _check_text(spec: JobSpec) -> None:
    for text in itertools.chain(spec.args, *spec.trials, (value for _, value in spec.env)):
        if "\0" in text or (not text.isascii() and text != text.encode(errors="ignore").decode()):
            raise bad_flag(
                f"{text!a} holds a NUL or bytes that are no UTF-8: no process can be given that"
            )


def _check_metrics_port(port: int) -> None:
    if port and (port not in range(1024, 65536) or port in (TF_PORT, TPU_PORT)):
        raise bad_flag(
            f"--pod_monitor={port} must be a port from 1024 to 65535 other than {TF_PORT} and "
            f"{TPU_PORT}, or 0 for none"
        )


def _check_devices(spec: JobSpec) -> None:
    device = spec.device
    accelerators.check_framework(device)
    if device.kind == "tpu":
        _check_tpu(spec, find_slice(device, spec.topology))
        return
    if spec.topology:
        raise bad_flag(
            f"--topology={spec.topology} is for TPUs; {device.title} takes --devices_per_worker"
        )
    accelerators.check_count(device, spec.devices_per_worker, spec.platform)


def _check_tpu(spec: JobSpec, row: Slice) -> None:
    if spec.devices_per_worker:
        raise bad_flag(
            f"--devices_per_worker={spec.devices_per_worker} is for GPUs; "
            f"--topology={row.topology} already says {row.chips_per_host} chips a host"
        )
    if spec.workers not in (1, row.hosts):
        raise bad_flag(
            f"--workers={spec.workers} asks for more than one slice: TensorFlow has no multislice; "
            f"one {row.topology} slice is {row.hosts} host(s); leave --workers out, "
            "or take a larger --topology"
        )
    if spec.trials and row.hosts > 1:
        raise bad_flag(
            f"--sweep needs trials of one host; {row.topology} has {row.hosts} (--topology)"
        )


def _check_microbatches(spec: JobSpec) -> None:
    for trial in spec.trials or [()]:
        args = (*spec.args, *trial)
        microbatches = trainer_args.whole_number(args, "config.virtual_replicas")
        if microbatches is not None and (microbatches < 1 or microbatches % spec.replicas):
            raise bad_flag(
                f"--config.virtual_replicas={microbatches} cannot be divided over {spec.replicas} "
                f"replicas; nearest: {' or '.join(_nearest(spec, microbatches))}"
            )


def _nearest(spec: JobSpec, microbatches: int) -> list[str]:
    """The hardware that divides the microbatches evenly, and the microbatches for this hardware."""
    if spec.slice:
        rows = [row for row in slices(spec.device) if _divides(row.chips, microbatches)]
        hardware = [f"--topology={row.topology}" for row in rows[-2:]]
    else:
        each = max(spec.devices, 1)
        counts = [n for n in range(1, 2 * spec.workers) if _divides(n * each, microbatches)]
        counts.sort(key=lambda count: abs(count - spec.workers))
        hardware = [f"--workers={count}" for count in sorted(counts[:2])]
    below = microbatches // spec.replicas * spec.replicas
    possible = [count for count in (below, below + spec.replicas) if count > 0]
    return [*hardware, *(f"--config.virtual_replicas={count}" for count in possible)]


def _divides(replicas: int, microbatches: int) -> bool:
    return microbatches >= 1 and microbatches % replicas == 0


def _longest_infix(spec: JobSpec) -> str:
    if spec.multi_host_tpu and spec.slice:
        return f"-coordinator-0-{spec.slice.hosts - 1}"
    last = spec.units - 1
    return f"-worker-0-{last}" if spec.has_jobset else f"-{last}"
