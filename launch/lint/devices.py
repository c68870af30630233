"""Quantities and accelerators: requests equal limits, and nodes that have the devices."""

import re
from collections.abc import Iterator

from launch.lint.workload import Finding, Workload
from launch.spec import accelerators, topologies
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import GPU_NODE, RESOURCES, SPOT, TOPOLOGY, TPU_NODE

_QUANTITY = re.compile(
    r"([1-9][0-9]*(\.[0-9]+)?|0\.0*[1-9][0-9]*)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?"  # more than nothing
)


def check_devices(workload: Workload) -> Iterator[Finding]:
    """All rules on resources, node labels, tolerations and shared memory."""
    for path, container in workload.containers():
        yield from _check_quantities(workload, path, container)
    yield from _check_selector(workload)
    yield from _check_tolerations(workload)
    yield from _check_shared_memory(workload)


def _check_quantities(workload: Workload, path: str, container: Document) -> Iterator[Finding]:
    resources = mapping(container, "resources")
    requests, limits = mapping(resources, "requests"), mapping(resources, "limits")
    for name in sorted({"cpu", "memory", *requests, *limits}):
        where = f"{path}.resources[{name}]"
        request, limit = requests.get(name), limits.get(name)
        if request is None or limit is None:
            yield workload.of_pod(where, "has no request or no limit", "set both, equal")
        elif request != limit:
            yield workload.of_pod(where, f"request {request} differs from limit {limit}", "use one")
        elif not _is_quantity(name, request):
            yield workload.of_pod(
                where, f"{request!r} is not a quantity in quotes", "write for example '4' or 16Gi"
            )


def _is_quantity(name: str, value: object) -> bool:
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        return False
    if name in {"memory", "ephemeral-storage"}:
        return value.endswith("i")
    return value.isdecimal() if name in RESOURCES.values() else True


def _count(workload: Workload, kind: str) -> int:
    counts = [
        mapping(container, "resources", "limits").get(RESOURCES[kind], "0")
        for _, container in workload.containers()
    ]
    return sum(int(count) for count in counts if str(count).isdecimal())


def _check_selector(workload: Workload) -> Iterator[Finding]:
    labels = mapping(workload.pod, "nodeSelector")
    gpus = {row.gke_label: row for row in accelerators.TABLE.values() if row.kind == "gpu"}
    tpus = {row.gke_label: row for row in accelerators.TABLE.values() if row.kind == "tpu"}
    where = "nodeSelector"
    if (label := labels.get(GPU_NODE)) is not None:
        if label not in gpus:
            yield workload.of_pod(where, f"no GPU is labelled {label!r}", f"one of {list(gpus)}")
        elif _count(workload, "gpu") not in gpus[label].counts:
            yield workload.of_pod(
                where,
                f"no machine with {label} has {_count(workload, 'gpu')} GPUs",
                f"ask nvidia.com/gpu for one of {gpus[label].counts}",
            )
    if _count(workload, "tpu") or TPU_NODE in labels or TOPOLOGY in labels:
        yield from _check_tpu(workload, tpus.get(str(labels.get(TPU_NODE))), labels)
    if any(not isinstance(value, str) for value in labels.values()):
        yield workload.of_pod(where, "a label value is not text", "put it in quotes")


def _check_tpu(
    workload: Workload, row: accelerators.Accelerator | None, labels: Document
) -> Iterator[Finding]:
    if row is None:
        yield workload.of_pod(
            f"nodeSelector[{TPU_NODE}]",
            f"no TPU is labelled {labels.get(TPU_NODE)!r}",
            "see `launch accelerators`",
        )
        return
    found = [s for s in topologies.slices(row) if s.topology == labels.get(TOPOLOGY)]
    if not found:
        yield workload.of_pod(
            f"nodeSelector[{TOPOLOGY}]",
            f"{row.title} has no topology {labels.get(TOPOLOGY)!r}",
            f"see `launch accelerators {row.name}`",
        )
    elif _count(workload, "tpu") != found[0].chips_per_host:
        yield workload.of_pod(
            "containers[0].resources[google.com/tpu]",
            f"{_count(workload, 'tpu')} chips; a host of {found[0].topology} has "
            f"{found[0].chips_per_host}",
            "ask for all chips of the host",
        )
    elif not workload.is_sweep and workload.pods != found[0].hosts:
        yield workload.of_job(
            "completions",
            f"{workload.pods} pods for the {found[0].hosts} host(s) of {found[0].topology}",
            "start one pod a host",
        )


def _check_tolerations(workload: Workload) -> Iterator[Finding]:
    tolerated = {
        entry.get("key")
        for entry in mappings(workload.pod, "tolerations")
        if entry.get("effect") in (None, "NoSchedule")
        and (entry.get("operator") == "Exists" or entry.get("value"))
    }
    for kind, resource in RESOURCES.items():
        if _count(workload, kind) and resource not in tolerated:
            yield workload.of_pod(
                "tolerations", f"the nodes' taint {resource} is not tolerated", "add it"
            )
    spot = mapping(workload.pod, "nodeSelector").get(SPOT)
    if (spot == "true") != (SPOT in tolerated):
        yield workload.of_pod(
            "tolerations", f"{SPOT} is selected or tolerated, not both", "do both or neither"
        )


def _check_shared_memory(workload: Workload) -> Iterator[Finding]:
    in_memory = {
        volume.get("name")
        for volume in workload.volumes
        if mapping(volume, "emptyDir").get("medium") == "Memory"
    }
    mounted = {
        mount.get("name")
        for mount in workload.of_containers("volumeMounts")
        if mount.get("mountPath") == "/dev/shm"  # noqa: S108
    }
    if _count(workload, "gpu") > 1 and not in_memory & mounted:
        yield workload.of_pod(
            "volumes", "NCCL gets 64 MiB of /dev/shm", "mount an emptyDir with medium Memory there"
        )
