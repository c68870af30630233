"""JobSpec: everything that a job is, frozen, before any backend sees it.

Each field says what it means, its unit and its limits. The flags of `local`, `submit` and
`render`, their help and the checks are made from that, so that a new field is written once.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Annotated, Literal

from launch.spec import accelerators, parts, trainer_args
from launch.spec.accelerators import Accelerator, Kind, Platform
from launch.spec.halving import Halving
from launch.spec.parts import (
    CodeBundle,
    Egress,
    Mount,
    Requirements,
    Resource,
    SecretVariable,
    Toleration,
)
from launch.spec.topologies import Slice, find_slice


@dataclasses.dataclass(frozen=True)
class Option:
    """What a field of a job tells the command line and the checks.

    Attributes:
        help: what the field is, one phrase.
        unit: of the value, or "".
        minimum: the smallest number allowed, or None.
        choices: the values of a Literal, filled in by `options`; empty for any.
        is_object_name: whether the value has to be the name of a Kubernetes object.
        read: makes one member of the field from a flag's name and value; such flags may be
            repeated. None for a field of one value.
        flags: the flags that fill the field and their help; empty for one of the field's name.
    """

    help: str
    unit: str = ""
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    is_object_name: bool = False
    read: Callable[[str, str], object] | None = None
    flags: tuple[tuple[str, str], ...] = ()


_BY_DEFAULT = "0: the accelerator's default"
Pairs = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class JobSpec:
    """One job.

    Attributes:
        name: name of the job and of everything made for it.
        args: what the trainer gets, with `--workdir` among it.
        command: the program before `args`.
        code: the files of `--code`, or None.
        trials: the trainer arguments of every trial of a sweep; empty for a single run.
        halving: how a sweep leaves trials out: one rule, or none.
    """

    name: str
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ("python", "-m", "trainer")
    image: Annotated[str, Option("container image, by digest or explicit tag")] = ""
    accelerator: Annotated[str, Option(f"one of {', '.join(accelerators.TABLE)}")] = "cpu"
    topology: Annotated[str, Option("TPU topology, for example 4x4")] = ""
    workers: Annotated[int, Option("worker processes or pods", minimum=1)] = 1
    devices_per_worker: Annotated[int, Option("GPUs of each worker")] = 0
    cpus: Annotated[int, Option(f"CPU of each worker; {_BY_DEFAULT}", "cores", minimum=0)] = 0
    memory_gib: Annotated[
        int, Option(f"host memory of each worker; {_BY_DEFAULT}", "GiB", minimum=0)
    ] = 0
    scratch_gib: Annotated[int, Option("size limit of /tmp", "GiB", minimum=1)] = 20
    platform: Annotated[Platform, Option("whose node labels to ask for")] = "gke"
    namespace: Annotated[str, Option("Kubernetes namespace", is_object_name=True)] = "lockstep"
    service_account: Annotated[
        str, Option("existing Kubernetes service account", is_object_name=True)
    ] = "trainer"
    workload_identity: Annotated[
        str, Option("Google service account to act as; a service account is made for the job")
    ] = ""
    env: Annotated[Pairs, Option("environment variable, NAME=VALUE", read=parts.read_variable)] = ()
    secret_env: Annotated[
        tuple[SecretVariable, ...],
        Option("variable from a Secret, NAME=SECRET/KEY", read=parts.read_secret),
    ] = ()
    mounts: Annotated[
        tuple[Mount, ...],
        Option("claims and buckets", read=parts.read_mount, flags=parts.MOUNT_FLAGS),
    ] = ()
    node_selector: Annotated[
        Pairs, Option("further label of the node, LABEL=VALUE", read=parts.read_pair)
    ] = ()
    arch: Annotated[Literal["amd64", "arm64"], Option("processor that the image is built for")] = (
        "amd64"
    )
    toleration: Annotated[
        tuple[Toleration, ...],
        Option("taint to accept, KEY[=VALUE][:EFFECT]", read=parts.read_toleration),
    ] = ()
    runtime_class: Annotated[str, Option("RuntimeClass", is_object_name=True)] = ""
    resource: Annotated[
        tuple[Resource, ...],
        Option("further device of each worker, NAME:COUNT", read=parts.read_resource),
    ] = ()
    egress: Annotated[
        tuple[Egress, ...],
        Option("further address to connect to, ADDRESS[/BITS]:PORT", read=parts.read_egress),
    ] = ()
    spot: Annotated[bool, Option("use preemptible machines")] = False
    queue: Annotated[str, Option("Kueue LocalQueue", is_object_name=True)] = ""
    priority_class: Annotated[str, Option("PriorityClass", is_object_name=True)] = ""
    max_restarts: Annotated[
        int, Option("counted restarts of the whole job before it fails", minimum=0)
    ] = 3
    deadline_hours: Annotated[
        int, Option("end the job after this time in any case", "hours", minimum=1)
    ] = 72
    grace_secs: Annotated[int, Option("time from SIGTERM to SIGKILL", "seconds", minimum=1)] = 60
    ttl_hours: Annotated[
        int, Option("delete the job this long after its end", "hours", minimum=0)
    ] = 168
    jobset: Annotated[bool, Option("restart all workers together, by a JobSet")] = False
    trainjob: Annotated[
        bool, Option("have Kubeflow Trainer make that JobSet: submit a TrainJob and its runtime")
    ] = False
    pod_monitor: Annotated[int, Option("port of Prometheus metrics; 0: none", minimum=0)] = 0
    privileged: Annotated[
        Literal["", "rdma", "tpu"],
        Option("why the pod needs more than PodSecurity restricted allows"),
    ] = ""
    requirements: Annotated[
        tuple[Requirements, ...],
        Option("file of further packages, with hashes", read=parts.read_requirements),
    ] = ()
    code: CodeBundle | None = None
    trials: tuple[tuple[str, ...], ...] = ()
    halving: tuple[Halving, ...] = ()
    parallel_trials: Annotated[int, Option("trials of a sweep at a time", minimum=1)] = 1

    @property
    def device(self) -> Accelerator:
        """The row of the accelerator table."""
        return accelerators.find(self.accelerator)

    @property
    def slice(self) -> Slice | None:
        """The TPU slice, or None where the accelerator is none."""
        return find_slice(self.device, self.topology) if self.device.kind == "tpu" else None

    @property
    def multi_host_tpu(self) -> bool:
        """Whether a CPU coordinator drives several TPU hosts: experimental."""
        return self.slice is not None and self.slice.hosts > 1

    @property
    def has_jobset(self) -> bool:
        """Whether the workers are those of a JobSet, whoever makes it."""
        return self.jobset or self.trainjob or self.multi_host_tpu

    @property
    def kind(self) -> Kind:
        """What computes; a device that only --resource names is driven as GPUs are."""
        return "gpu" if self.device.kind == "cpu" and self.resource else self.device.kind

    @property
    def devices(self) -> int:
        """Devices of one worker: GPUs, chips of one host, or 0."""
        if self.slice:
            return self.slice.chips_per_host
        named = self.resource[0].count if self.device.kind == "cpu" and self.resource else 0
        return self.devices_per_worker or named

    @property
    def replicas(self) -> int:
        """Physical replicas of the run: every device, or every worker where there is none."""
        return self.slice.chips if self.slice else self.workers * max(self.devices, 1)

    @property
    def workdir(self) -> str:
        """Where the run keeps its results, or "" where none was given."""
        return trainer_args.value(self.args, "workdir") or ""

    @property
    def units(self) -> int:
        """How many workers, or trials of a sweep, there are."""
        return len(self.trials) or self.workers


@functools.cache
def options() -> dict[str, tuple[Option, object]]:
    """Field -> what it tells of itself, and its default; without those that take no flag."""
    hints = typing.get_type_hints(JobSpec, include_extras=True)
    found: dict[str, tuple[Option, object]] = {}
    for field in dataclasses.fields(JobSpec):
        hint = hints[field.name]
        if typing.get_origin(hint) is Annotated:
            kind, option = typing.get_args(hint)
            if typing.get_origin(kind) is Literal:
                option = dataclasses.replace(option, choices=typing.get_args(kind))
            found[field.name] = option, field.default
    return found
