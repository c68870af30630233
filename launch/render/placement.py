"""What follows from a spec's accelerator: node labels, tolerations, quantities, trainer flags."""

from launch.spec import trainer_args
from launch.spec.documents import Document, without_empty
from launch.spec.job import JobSpec
from launch.spec.labels import ARCH, GPU_NODE, RESOURCES, SPOT, TOPOLOGY, TPU_NODE


def node_selector(spec: JobSpec) -> dict[str, str]:
    """The labels that a node must have."""
    # An image for another processor fails with "exec format error".
    labels: dict[str, str] = {ARCH: spec.arch}
    if spec.slice:
        labels[TPU_NODE] = spec.device.gke_label
        labels[TOPOLOGY] = spec.slice.topology
    elif spec.device.kind == "gpu" and spec.platform == "gke":
        labels[GPU_NODE] = spec.device.gke_label
    if spec.spot:
        labels[SPOT] = "true"
    return labels | dict(spec.node_selector)


def tolerations(spec: JobSpec) -> list[dict[str, str]]:
    """The taints of accelerator and spot nodes that the pod accepts."""
    accepted = [
        without_empty(
            {
                "key": taint.key,
                "operator": "Equal" if taint.value else "Exists",
                "value": taint.value,
                "effect": taint.effect,
            }
        )
        for taint in spec.toleration
    ]
    # As GPU nodes do: nodes with a rare device carry its name as a taint.
    accepted += [
        {"key": device.name, "operator": "Exists", "effect": "NoSchedule"}
        for device in spec.resource
    ]
    if spec.device.kind in RESOURCES:
        resource = RESOURCES[spec.device.kind]
        accepted.append({"key": resource, "operator": "Exists", "effect": "NoSchedule"})
    if spec.spot:
        accepted.append({"key": SPOT, "operator": "Equal", "value": "true", "effect": "NoSchedule"})
    return accepted


def resources(spec: JobSpec) -> Document:
    """Requests equal to limits: a guaranteed pod, evicted last."""
    count = max(spec.devices, 1)
    quantities = {
        "cpu": str(spec.cpus or spec.device.host_cpus * count),
        "memory": f"{spec.memory_gib or spec.device.host_memory_gib * count}Gi",
        # /tmp, the container's own logs, and the packages of --requirements.
        "ephemeral-storage": f"{spec.scratch_gib + 2 + 5 * bool(spec.requirements)}Gi",
    }
    if spec.device.kind in RESOURCES:
        quantities[RESOURCES[spec.device.kind]] = str(spec.devices)
    quantities |= {device.name: str(device.count) for device in spec.resource}
    return {"requests": dict(quantities), "limits": dict(quantities)}


def trainer_flags(spec: JobSpec) -> tuple[str, ...]:
    """What the trainer is told of its place; the user's own arguments win."""
    return (*_strategy(spec), *_stage_budget(spec), *_metrics_port(spec))


def _stage_budget(spec: JobSpec) -> tuple[str, ...]:
    """Copies of remote data take half of /tmp at most; checkpoints and indexes are there too.

    The trainer would go by what the node's disk has free, and be evicted at the volume's limit.
    """
    if any(trainer_args.value(spec.args, name) for name in ("stage_bytes", "stage_dir")):
        return ()
    return (f"--stage_bytes={spec.scratch_gib * 2**29}",)


def _strategy(spec: JobSpec) -> tuple[str, ...]:
    """The strategy, so that a missing accelerator is an error and never a CPU run."""
    if spec.multi_host_tpu or trainer_args.value(spec.args, "strategy") is not None:
        return ()  # the coordinator of several hosts is told with their names
    if spec.device.kind == "tpu":
        return ("--strategy=tpu", "--tpu=local")
    if spec.workers > 1:
        return ("--strategy=multi_worker",)
    return ("--strategy=mirrored",) if spec.kind == "gpu" else ("--strategy=cpu",)


def _metrics_port(spec: JobSpec) -> tuple[str, ...]:
    """The trainer's port of metrics: the one that the PodMonitor scrapes."""
    if not spec.pod_monitor or trainer_args.value(spec.args, "metrics_port") is not None:
        return ()
    return (f"--metrics_port={spec.pod_monitor}",)


def shared_memory_gib(spec: JobSpec) -> int:
    """Size of /dev/shm, GiB, or 0 for the runtime's 64 MiB: NCCL between GPUs needs more."""
    return min(4 * spec.devices, 16) if spec.kind == "gpu" and spec.devices > 1 else 0
