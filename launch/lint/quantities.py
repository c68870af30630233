"""Quantities: requests, limits and sizes that fit each other."""

from collections.abc import Iterator
from fractions import Fraction

from launch.lint.finding import Finding, error, style, warning
from launch.lint.pods import Pods
from launch.spec.documents import Document, mapping, mappings
from launch.spec.labels import RESOURCES
from launch.spec.quantities import worth

_BYTES = ("memory", "ephemeral-storage", "storage")
_LEAST = 4 * 2**20  # no container of a program lives on less


def limit_of(container: Document, resource: str) -> Fraction | None:
    """The limit of a container, or None where there is none that can be read."""
    return worth(mapping(container, "resources", "limits").get(resource))


def count(pods: Pods, resource: str) -> int:
    """How many devices one pod asks for; a request alone counts too."""
    total = 0
    for _, container in pods.containers("containers"):
        resources = mapping(container, "resources")
        for kind in ("limits", "requests"):
            if (found := worth(mapping(resources, kind).get(resource))) is not None:
                total += int(found)
                break
    return total


def check_quantities(pods: Pods) -> Iterator[Finding]:
    """All rules on resources of containers and on sizes of volumes."""
    for path, container in pods.containers():
        resources = mapping(container, "resources")
        for name in sorted({*mapping(resources, "requests"), *mapping(resources, "limits")}):
            yield from _check_resource(pods, f"{path}.resources[{name}]", name, resources)
        if pods.is_ours:
            yield from _check_guaranteed(pods, path, resources)
    yield from _check_memory(pods)
    yield from _check_disk(pods)


def _check_resource(pods: Pods, where: str, name: str, resources: Document) -> Iterator[Finding]:
    kinds = [kind for kind in ("requests", "limits") if name in mapping(resources, kind)]
    values = {kind: mapping(resources, kind)[name] for kind in kinds}
    for value in dict.fromkeys(map(str, values.values())):
        yield from _check_value(pods, where, name, value)
    if any(worth(value) is None for value in values.values()):
        return
    request, limit = (worth(values.get(kind)) for kind in ("requests", "limits"))
    if request is not None and limit is not None and request > limit:
        yield error(
            pods.at(where),
            f"request {values['requests']} differs from limit {values['limits']}: more is asked "
            "for than is allowed",
            "use one value for both",
        )
    elif "/" in name and limit is None:
        yield error(
            pods.at(where), "a device has a request and no limit: the pod is refused", "set both"
        )
    elif "/" in name and request is not None and request != limit:
        yield error(
            pods.at(where),
            f"request {values['requests']} differs from limit {values['limits']}: devices are "
            "not shared",
            "use one value for both",
        )


def _check_value(pods: Pods, where: str, name: str, value: str) -> Iterator[Finding]:
    number = worth(value)
    if number is None or number < 0:
        yield error(
            pods.at(where), f"{value!r} is not a quantity", "write for example '4', 500m or 16Gi"
        )
    elif "/" in name and number.denominator != 1:
        yield error(pods.at(where), f"{value!r} devices: not a whole number", "ask for whole ones")
    elif name in _BYTES and 0 < number < _LEAST:
        yield error(
            pods.at(where), f"{value!r} is a number of bytes, too few to start", "write Gi or Mi"
        )


def _check_guaranteed(pods: Pods, path: str, resources: Document) -> Iterator[Finding]:
    requests, limits = mapping(resources, "requests"), mapping(resources, "limits")
    for name in sorted({"cpu", "memory", *requests, *limits}):
        request, limit, where = requests.get(name), limits.get(name), f"{path}.resources[{name}]"
        if "/" in name:
            continue
        if request is None or limit is None:
            yield style(
                pods.at(where), "has no request or no limit: evicted first", "set both, equal"
            )
        elif (worth(request) or 0) < (worth(limit) or 0):
            yield style(
                pods.at(where),
                f"request {request} differs from limit {limit}: evicted before others",
                "use one value for both",
            )


def _check_memory(pods: Pods) -> Iterator[Finding]:
    """Files in a volume of memory count against the limit of the containers that use it."""
    for index, volume in enumerate(pods.volumes):
        directory = mapping(volume, "emptyDir")
        size, name = worth(directory.get("sizeLimit")), volume.get("name")
        if directory.get("sizeLimit") is not None and size is None:
            yield error(
                pods.at(f"volumes[{index}].emptyDir.sizeLimit"),
                f"{directory['sizeLimit']!r} is not a quantity",
                "write for example 16Gi",
            )
        if directory.get("medium") != "Memory" or size is None:
            continue
        limits = [
            limit
            for _, container in pods.containers("containers")
            if name in [mount.get("name") for mount in mappings(container, "volumeMounts")]
            if (limit := limit_of(container, "memory")) is not None
        ]
        if limits and size >= max(limits):
            make = error if size > max(limits) else warning
            yield make(
                pods.at(f"volumes[{index}].emptyDir.sizeLimit"),
                f"{directory['sizeLimit']} of memory is not below the limit of the container: it "
                "is killed before the volume is full",
                "make it smaller than the memory limit, or raise that",
            )


def _check_disk(pods: Pods) -> Iterator[Finding]:
    """Files in a volume on the node's disk count against the limit of the pod."""
    limits = [limit_of(c, "ephemeral-storage") for _, c in pods.containers("containers")]
    if not limits or any(limit is None for limit in limits):
        return
    whole = sum((limit for limit in limits if limit is not None), Fraction())
    for index, volume in enumerate(pods.volumes):
        directory = mapping(volume, "emptyDir")
        size = worth(directory.get("sizeLimit"))
        if size is not None and directory.get("medium") != "Memory" and size > whole:
            yield warning(
                pods.at(f"volumes[{index}].emptyDir.sizeLimit"),
                f"{directory['sizeLimit']} is above the pod's limit of ephemeral-storage: the pod "
                "is evicted before the volume is full",
                "make it smaller than that limit, or raise the limit",
            )


def devices(pods: Pods) -> dict[str, int]:
    """Kind of device -> how many one pod asks for."""
    return {kind: count(pods, resource) for kind, resource in RESOURCES.items()}
