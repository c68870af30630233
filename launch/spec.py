"""JobSpec: everything that a job is, frozen, before any backend sees it."""

import dataclasses
from typing import Literal

from launch import accelerators, trainer_args
from launch.accelerators import Accelerator, Platform
from launch.topologies import Slice, find_slice

CODE_DIR = "/lockstep/code"  # where a pod sees the user's own files


@dataclasses.dataclass(frozen=True)
class SecretVariable:
    """An environment variable that Kubernetes fills from a Secret; the value never passes here."""

    name: str
    secret: str
    key: str


@dataclasses.dataclass(frozen=True)
class Mount:
    """A persistent volume claim or a bucket, and the folder where the worker sees it."""

    kind: Literal["pvc", "gcs"]
    source: str
    path: str


@dataclasses.dataclass(frozen=True)
class CodeBundle:
    """The user's own files, travelling with the job.

    Attributes:
        digest: SHA-256 over names and contents, hexadecimal.
        files: pairs of relative path and content where they fit into a ConfigMap, else empty.
        url: where the zip of the files was put when they do not fit, else "".
    """

    digest: str
    files: tuple[tuple[str, bytes], ...] = ()
    url: str = ""


@dataclasses.dataclass(frozen=True)
class JobSpec:
    """One job.

    Attributes:
        name: name of the job and of everything made for it.
        args: what the trainer gets, with `--workdir` among it.
        command: the program before `args`.
        image: container image by digest or explicit tag; used by Kubernetes only.
        accelerator: row of the accelerator table.
        topology: TPU topology, for example "4x4"; "" for anything else.
        workers: number of worker processes or pods; worker 0 is the chief.
        devices_per_worker: GPUs of each worker.
        cpus: CPU cores of each worker; 0 takes the accelerator's default.
        memory_gib: host memory of each worker, GiB; 0 takes the accelerator's default.
        scratch_gib: size limit of /tmp, GiB.
        platform: `gke` selects nodes by GKE's labels, `plain` only by resource.
        namespace: Kubernetes namespace.
        service_account: an existing service account.
        workload_identity: Google service account; makes a service account for this run.
        env: plain environment variables.
        secret_env: environment variables by reference.
        mounts: claims and buckets.
        node_selector: further node labels to ask for.
        spot: whether preemptible machines are asked for.
        queue: Kueue LocalQueue, or "".
        priority_class: PriorityClass, or "".
        max_restarts: counted restarts of the whole job before it fails.
        deadline_hours: the job ends after this many hours, whatever happens.
        grace_secs: from SIGTERM to SIGKILL, seconds.
        ttl_hours: a finished job is deleted after this many hours.
        jobset: whether a JobSet restarts all workers together.
        pod_monitor: port of Prometheus metrics, or 0 for no PodMonitor.
        privileged: why the pod needs more than PodSecurity `restricted` allows, or "".
        code: the user's own files, or None.
        trials: the trainer arguments of every trial of a sweep; empty for a single run.
        parallel_trials: how many trials run at a time.
    """

    name: str
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ("python", "-m", "trainer")
    image: str = ""
    accelerator: str = "cpu"
    topology: str = ""
    workers: int = 1
    devices_per_worker: int = 0
    cpus: int = 0
    memory_gib: int = 0
    scratch_gib: int = 20
    platform: Platform = "gke"
    namespace: str = "lockstep"
    service_account: str = "trainer"
    workload_identity: str = ""
    env: tuple[tuple[str, str], ...] = ()
    secret_env: tuple[SecretVariable, ...] = ()
    mounts: tuple[Mount, ...] = ()
    node_selector: tuple[tuple[str, str], ...] = ()
    spot: bool = False
    queue: str = ""
    priority_class: str = ""
    max_restarts: int = 3
    deadline_hours: int = 72
    grace_secs: int = 60
    ttl_hours: int = 168
    jobset: bool = False
    pod_monitor: int = 0
    privileged: Literal["", "rdma", "tpu"] = ""
    code: CodeBundle | None = None
    trials: tuple[tuple[str, ...], ...] = ()
    parallel_trials: int = 1

    @property
    def device(self) -> Accelerator:
        """The row of the accelerator table."""
        return accelerators.find(self.accelerator)

    @property
    def slice(self) -> Slice | None:
        """The TPU slice, or None where the accelerator is none."""
        if self.device.kind != "tpu":
            return None
        return find_slice(self.device, self.topology)

    @property
    def multi_host_tpu(self) -> bool:
        """Whether a CPU coordinator drives several TPU hosts: experimental."""
        return self.slice is not None and self.slice.hosts > 1

    @property
    def devices(self) -> int:
        """Devices of one worker: GPUs, chips of one host, or 0."""
        return self.slice.chips_per_host if self.slice else self.devices_per_worker

    @property
    def replicas(self) -> int:
        """Physical replicas of the run: every device, or every worker where there is none."""
        if self.slice:
            return self.slice.chips
        return self.workers * max(self.devices_per_worker, 1)

    @property
    def workdir(self) -> str:
        """Where the run keeps its results, or "" where none was given."""
        return trainer_args.value(self.args, "workdir") or ""
