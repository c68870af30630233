"""Nodes: labels that nodes have, as many devices as a machine has, taints that are tolerated."""

import math
from collections.abc import Iterator

from common import spelling
from launch.lint.commands import is_our_image
from launch.lint.finding import Finding, error, style, warning
from launch.lint.pods import Pods
from launch.lint.quantities import count
from launch.spec import accelerators, topologies
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import GPU_NODE, RESOURCES, SPOT, TOPOLOGY, TPU_NODE
from launch.spec.names import image_flavour, is_pinned

# What GKE offers besides the accelerators that this project knows by their figures.
_OTHERS = (
    "nvidia-tesla-k80 nvidia-tesla-p4 nvidia-tesla-p100 nvidia-tesla-v100 nvidia-gb200 "
    "nvidia-gb300 nvidia-b300 nvidia-rtx-pro-6000",
    "tpu-v3-device tpu-v3-slice tpu-v4-lite-device tpu-v5-lite-device",
)
_OTHER_GPUS, _OTHER_TPUS = (names.split() for names in _OTHERS)
_VALUES = {
    "kubernetes.io/arch": ["amd64", "arm64", "arm", "ppc64le", "riscv64", "s390x"],
    "kubernetes.io/os": ["linux", "windows"],
    SPOT: ["true"],
}
_GPUS = {row.gke_label: row for row in accelerators.TABLE.values() if row.kind == "gpu"}
_TPUS = {row.gke_label: row for row in accelerators.TABLE.values() if row.kind == "tpu"}


def check_nodes(pods: Pods) -> Iterator[Finding]:
    """All rules on what pods ask of their nodes."""
    labels = mapping(pods.spec, "nodeSelector")
    for key, value in labels.items():
        if not isinstance(value, str):
            yield error(
                pods.at(f"nodeSelector[{key}]"),
                f"a label value is not text: {value!r}",
                "put it in quotes",
            )
        elif value not in _VALUES.get(key, [value]):
            yield error(
                pods.at(f"nodeSelector[{key}]"),
                f"no node has the value {value!r}: the pods stay Pending",
                f"one of {_VALUES[key]}",
            )
    if GPU_NODE in labels:
        yield from _check_gpu(pods, str(labels[GPU_NODE]))
    if count(pods, RESOURCES["tpu"]) or TPU_NODE in labels or TOPOLOGY in labels:
        yield from _check_tpu(pods, labels)
    yield from _check_tolerations(pods, labels)
    for path, container in pods.containers():
        yield from _check_image(pods, path, container)


def _check_gpu(pods: Pods, label: str) -> Iterator[Finding]:
    where, gpus = pods.at(f"nodeSelector[{GPU_NODE}]"), count(pods, RESOURCES["gpu"])
    if label not in _GPUS:
        known = [*_GPUS, *_OTHER_GPUS]
        if label not in known:
            near = spelling.did_you_mean(label, known)
            yield error(
                where,
                f"no GPU is labelled {label!r}: the pods stay Pending",
                near or f"one of {known}",
            )
        return
    counts = _GPUS[label].counts
    if gpus > max(counts):
        yield error(
            where,
            f"no machine with {label} has {gpus} GPUs: the pods stay Pending",
            f"ask nvidia.com/gpu for one of {counts}",
        )
    elif gpus not in counts:
        yield warning(
            where,
            f"no machine with {label} has {gpus} GPUs"
            + ("" if gpus else ": the node's GPUs are not given to the pods"),
            f"ask nvidia.com/gpu for one of {counts}",
        )


def _check_tpu(pods: Pods, labels: Document) -> Iterator[Finding]:
    label = labels.get(TPU_NODE)
    if label is None and _has_affinity(pods):
        return
    row = _TPUS.get(str(label))
    if row is None:
        if label not in _OTHER_TPUS:
            near = spelling.did_you_mean(str(label), [*_TPUS, *_OTHER_TPUS])
            yield error(
                pods.at(f"nodeSelector[{TPU_NODE}]"),
                f"no TPU is labelled {label!r}: the pods stay Pending",
                near if label and near else "see `launch accelerators`",
            )
        return
    found = [s for s in topologies.slices(row) if s.topology == labels.get(TOPOLOGY)]
    if not found:
        yield error(
            pods.at(f"nodeSelector[{TOPOLOGY}]"),
            f"{row.title} has no topology {labels.get(TOPOLOGY)!r}: the pods stay Pending",
            f"see `launch accelerators {row.name}`",
        )
        return
    yield from _check_chips(pods, row, found[0])
    if pods.kind == "Job" and pods.in_all > 1 and not pods.is_indexed:
        yield error(
            pods.of_owner("completionMode"),
            "NonIndexed: the hosts of a slice are not told their places",
            "write Indexed",
        )


def _check_chips(
    pods: Pods, row: accelerators.Accelerator, found: topologies.Slice
) -> Iterator[Finding]:
    chips, pods_of_slice = count(pods, RESOURCES["tpu"]), pods.in_all
    where = pods.at("containers[0].resources[google.com/tpu]")
    if chips not in row.counts:
        yield error(
            where,
            f"{chips} chips; a host of {found.topology} has {found.chips_per_host}",
            f"ask for all chips of the host: {found.chips_per_host}",
        )
    elif found.chips % chips:
        yield error(
            where,
            f"{chips} chips; a host of {found.topology} has {found.chips_per_host}",
            f"ask for {found.chips_per_host}",
        )
    elif not pods.is_sweep and pods.kind == "Job" and chips * pods_of_slice != found.chips:
        hosts = math.ceil(found.chips / found.chips_per_host)
        if chips != found.chips_per_host:
            yield error(
                where,
                f"{chips} chips; a host of {found.topology} has {found.chips_per_host}",
                f"ask for {found.chips_per_host} in each of {hosts} pod(s)",
            )
        else:
            yield error(
                pods.of_owner("completions"),
                f"{pods_of_slice} pods for the {hosts} host(s) of {found.topology}: the slice "
                "starts when every host has its pod",
                f"start one pod a host: {hosts}",
            )


def _has_affinity(pods: Pods) -> bool:
    """Whether the node is chosen by rules that are not read here."""
    return bool(mapping(pods.spec, "affinity", "nodeAffinity")) or "resourceClaims" in pods.spec


def _check_tolerations(pods: Pods, labels: Document) -> Iterator[Finding]:
    entries = mappings(pods.spec, "tolerations")
    tolerated = {
        entry.get("key")
        for entry in entries
        if entry.get("effect") in (None, "NoSchedule")
        and (entry.get("operator") == "Exists" or entry.get("value"))
    }
    for index, entry in enumerate(entries):
        operator, value = entry.get("operator", "Equal"), entry.get("value")
        if operator == "Exists" and value:
            yield error(
                pods.at(f"tolerations[{index}]"),
                f"operator Exists with the value {value!r}: the pod is refused",
                "leave the value out",
            )
        if not entry.get("key") and operator == "Equal":
            yield error(
                pods.at(f"tolerations[{index}]"),
                "has no key: the pod is refused",
                "name the key, or use operator Exists",
            )
    if not pods.is_ours or None in tolerated:
        return
    for resource in RESOURCES.values():
        if count(pods, resource) and resource not in tolerated:
            yield style(
                pods.at("tolerations"),
                f"the nodes' taint {resource} is not tolerated; GKE adds that, others do not",
                f"tolerate {resource} with operator Exists",
            )
    if (labels.get(SPOT) == "true") != (SPOT in tolerated):
        yield style(
            pods.at("tolerations"),
            f"{SPOT} is selected or tolerated, not both: the pods miss those nodes, or may go "
            "anywhere",
            "do both or neither",
        )


def _check_image(pods: Pods, path: str, container: Document) -> Iterator[Finding]:
    image = str(container.get("image") or "")
    if not image:
        yield error(pods.at(f"{path}.image"), "is missing: the pod is refused", "name an image")
    elif not is_pinned(image):
        yield warning(
            pods.at(f"{path}.image"),
            f"{image!r} may change under the job",
            "name a tag other than latest, or a digest",
        )
    wanted = next((kind for kind, name in RESOURCES.items() if _asks(container, name)), "cpu")
    built_for = _built_for(image, container)
    if built_for and wanted not in ("cpu", built_for):
        yield error(
            pods.at(f"{path}.image"),
            f"{image!r} is built for {built_for}, and the container asks for a {wanted}: its "
            "program finds none",
            f"use the image for {wanted}",
        )


def _asks(container: Document, resource: str) -> bool:
    resources = mapping(container, "resources")
    return any(
        str(mapping(resources, kind).get(resource, "0")) != "0" for kind in ("limits", "requests")
    )


def _built_for(image: str, container: Document) -> str:
    """The kind of device that an image is built for, or "" where it does not say."""
    repository, _, tag = image.split("@", maxsplit=1)[0].rpartition(":")
    if is_our_image(container):
        return image_flavour(image)
    if repository.removeprefix("docker.io/") == "tensorflow/tensorflow":
        return "" if "gpu" in tag else "cpu"
    words = tag.replace("_", "-").replace(".", "-").split("-")
    return "cpu" if "cpu" in words and not {"gpu", "cuda", "tpu"} & set(words) else ""
